-- purpose: clear away deleted segments that have no members left
-- takes: nothing
DELETE FROM segments s
WHERE s.name IS NULL AND (SELECT true FROM segment_members m WHERE m.segment_no = s.segment_no LIMIT 1) IS NULL
