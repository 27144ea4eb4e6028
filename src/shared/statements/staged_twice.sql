-- purpose: the first line that names a user who was named before, no row when there is none
SELECT line
FROM (SELECT line, row_number() OVER (PARTITION BY user_id ORDER BY line) AS time FROM staged_members) AS named
WHERE time > 1
ORDER BY line
LIMIT 1
