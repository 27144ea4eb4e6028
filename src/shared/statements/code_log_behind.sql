-- purpose: how many codes the log has behind a position
-- takes: $1 position, $2 its mark, or null to count from the beginning
-- returns: {codes}, which may be a few too many; no row when the log that goes up to $1 is not this one
SELECT (SELECT coalesce(sum(last_code_id - first_code_id + 1), 0)::bigint FROM code_log WHERE position > $1) AS codes
WHERE $2::uuid IS NULL OR EXISTS (SELECT FROM code_log WHERE position = $1 AND mark = $2)
