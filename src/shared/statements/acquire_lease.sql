-- purpose: take a free partition; the epoch counts up at every acquisition
-- takes: $1 partition_no, $2 shard_id, $3 lease seconds
-- returns: {epoch}, or no row when somebody else has it
UPDATE partitions
SET owner = $2, epoch = epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE partition_no = $1
  AND (owner IS NULL OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $3))
RETURNING epoch
