-- purpose: how far the code log goes, and which codes it has behind a position
-- takes: $1 position, $2 its mark, or null to read from the beginning
-- returns: {position, mark, first_code_id, last_code_id} of the log's end and of all the codes behind $1 (null when there are
--          none); no row when the log that was read up to $1 is not this one
SELECT head.position, head.mark, behind.first_code_id, behind.last_code_id
FROM code_log AS head
CROSS JOIN LATERAL (
    SELECT min(first_code_id) AS first_code_id, max(last_code_id) AS last_code_id FROM code_log WHERE position > $1
) AS behind
WHERE head.position = (SELECT position FROM code_log_head WHERE alone)
  AND ($2::uuid IS NULL OR EXISTS (SELECT FROM code_log WHERE position = $1 AND mark = $2))
