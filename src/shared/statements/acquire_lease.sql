-- purpose: take a free partition; the epoch counts up at every acquisition, and who wanted it and is gone is forgotten
-- takes: $1 partition_no, $2 shard_id, $3 lease seconds
-- returns: {epoch}, or no row when somebody else has it, or holds its row (nobody waits here for one of many)
-- Its last owner may have vouched for its life a while longer than the lease (see claim_workers.vouching), and then not any more.
WITH free AS MATERIALIZED (
    SELECT partition_no
    FROM partitions
    WHERE partition_no = $1
      AND (owner IS NULL OR lease_until NOT BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $3))
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE partitions p
SET owner = $2, epoch = p.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $3),
    life_until = least(p.life_until, clock_timestamp() + interval '15 s'),
    wanted_by = (SELECT shard_id FROM shards WHERE shard_id = p.wanted_by AND seen_until > clock_timestamp())
FROM free
WHERE p.partition_no = free.partition_no
RETURNING p.epoch
