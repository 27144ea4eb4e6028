-- purpose: lock a partition's row for this transaction; with an epoch, only while that epoch is still the living one
-- takes: $1 partition_no, $2 epoch or null (the direct path, which owns nothing)
-- returns: at most one row; none means fenced. The clock is read outside the locking query, so after the lock was granted.
WITH locked AS MATERIALIZED (
    SELECT epoch, incarnation, cursor, last_seq, chain_head
    FROM partitions
    WHERE partition_no = $1 AND ($2::bigint IS NULL OR epoch = $2)
    FOR UPDATE
)
SELECT locked.*, clock_timestamp() FROM locked
