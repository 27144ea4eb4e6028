-- purpose: say that a front door has read the code log up to a position, and is to be waited for, for some seconds from now
-- takes: $1 door_id, $2 position, $3 its mark, $4 seconds
-- returns: {door_id}; no row, and nothing is written, when the log that was read up to $2 is not this one
INSERT INTO doors (door_id, code_position, seen_until)
SELECT $1, $2, clock_timestamp() + make_interval(secs => $4)
FROM code_log
WHERE position = $2 AND mark = $3
ON CONFLICT (door_id) DO UPDATE SET code_position = excluded.code_position, seen_until = excluded.seen_until
RETURNING door_id
