-- purpose: codes in the order of their ids, a page at a time
-- takes: $1 the last code_id before, $2 the last code_id of all, $3 how many
-- returns: {code_id, code}
SELECT code_id, code
FROM codes
WHERE code_id > $1 AND code_id <= $2
ORDER BY code_id
LIMIT $3
