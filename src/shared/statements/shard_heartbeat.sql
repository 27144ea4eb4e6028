-- purpose: say that a shard lives, for as long as a lease lasts
-- takes: $1 shard_id, $2 seconds
INSERT INTO shards (shard_id, seen_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (shard_id) DO UPDATE SET seen_until = excluded.seen_until
