-- purpose: take one partition if it is free, waiting for whoever holds its row; the rest is as in acquire_leases
-- takes: $1 partition_no, $2 shard_id, $3 lease seconds
-- returns: {epoch}, or no row when it is somebody else's
-- What was waited for is looked at again when it has changed meanwhile; if not, the lease counts from before the wait.
UPDATE partitions p
SET owner = $2, epoch = p.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $3),
    life_until = least(p.life_until, clock_timestamp() + interval '15 s'),
    wanted_by = (SELECT shard_id FROM shards WHERE shard_id = p.wanted_by AND seen_until > clock_timestamp())
WHERE partition_no = $1
  AND (owner IS NULL OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $3))
RETURNING p.epoch
