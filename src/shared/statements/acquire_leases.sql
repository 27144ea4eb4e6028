-- purpose: take free partitions; the epoch counts up at every acquisition, and who wanted one and is gone is forgotten
-- takes: $1 partition numbers, $2 shard_id, $3 lease seconds, $4 seconds for which their last owner's life may be vouched for
-- returns: {epoch, partition_no} of those taken; a missing one is somebody else's, or somebody else holds its row
-- Its last owner may have vouched for its life a while longer than the lease (see claim_workers.vouching), and then not any more.
WITH free AS MATERIALIZED (
    SELECT partition_no
    FROM partitions
    WHERE partition_no = ANY ($1::smallint[])
      AND (owner IS NULL OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $3))
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE partitions p
SET owner = $2, epoch = p.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $3),
    life_until = least(p.life_until, clock_timestamp() + make_interval(secs => $4)),
    wanted_by = (SELECT shard_id FROM shards WHERE shard_id = p.wanted_by AND seen_until > clock_timestamp())
FROM free
WHERE p.partition_no = free.partition_no
RETURNING p.epoch, p.partition_no
