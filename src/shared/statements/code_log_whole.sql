-- purpose: where the code log ends, and how many codes there can be
-- returns: {position, mark, codes}; codes is not fewer than there are
SELECT ending.position, ending.mark, whole.codes
FROM code_log AS ending
CROSS JOIN (
    SELECT least(sum(last_code_id - first_code_id + 1), max(last_code_id))::bigint AS codes FROM code_log
) AS whole
WHERE ending.position = (SELECT position FROM code_log_head WHERE alone)
