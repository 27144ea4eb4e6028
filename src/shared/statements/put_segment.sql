-- purpose: the segment's row as it will be with the staged members
-- takes: $1 name
-- returns: {segment_no, name, members, loaded_at}
INSERT INTO segments (name, members, loaded_at)
SELECT $1, count(*), clock_timestamp() FROM staged_members
ON CONFLICT (name) DO UPDATE SET members = excluded.members, loaded_at = excluded.loaded_at
RETURNING segment_no, name, members, loaded_at
