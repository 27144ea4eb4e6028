-- purpose: leave the list of living shards, and say so
-- takes: $1 shard_id
-- returns: a row when it was on the list
WITH gone AS (DELETE FROM shards WHERE shard_id = $1 RETURNING shard_id)
SELECT pg_notify('lastslot_ownership', '') FROM gone
