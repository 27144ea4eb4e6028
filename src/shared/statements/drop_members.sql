-- purpose: take out of a segment who is not staged, or belongs since another day; who stays as they are is not touched
-- takes: $1 segment_no
DELETE FROM segment_members AS m
WHERE m.segment_no = $1
  AND NOT EXISTS (SELECT FROM staged_members AS s WHERE s.user_id = m.user_id AND s.since IS NOT DISTINCT FROM m.since)
