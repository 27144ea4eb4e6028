-- purpose: how many front doors may still answer without codes that were added
-- takes: $1 position
-- returns: {count}
SELECT count(*) FROM doors WHERE code_position < $1 AND seen_until > clock_timestamp()
