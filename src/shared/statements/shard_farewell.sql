-- purpose: leave the list of living shards
-- takes: $1 shard_id
DELETE FROM shards WHERE shard_id = $1
