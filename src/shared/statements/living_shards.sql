-- purpose: the shards that live, by their own word
-- returns: {shard_id}, in order
SELECT shard_id FROM shards WHERE seen_until > clock_timestamp() ORDER BY shard_id
