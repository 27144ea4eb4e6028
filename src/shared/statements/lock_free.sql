-- purpose: lock the rows of partitions for this transaction, each only while its epoch is still the living one, waiting for none
-- takes: $1 partition numbers and $2 their epochs, pairwise
-- returns: {partition_no, epoch, incarnation, cursor, last_seq, chain_head, now} of each, in ascending order; no row of one that
--          is fenced, or that somebody else has locked. The clock is read outside the locking query, so after the locks. What the
--          transaction locks besides (orders, claims' ids) it waits for no longer than a moment: its partitions would wait, too.
WITH locked AS MATERIALIZED (
    SELECT p.partition_no, p.epoch, p.incarnation, p.cursor, p.last_seq, p.chain_head
    FROM partitions p
    JOIN unnest($1::smallint[], $2::bigint[]) AS named (partition_no, epoch)
        ON named.partition_no = p.partition_no AND named.epoch = p.epoch
    ORDER BY p.partition_no
    FOR UPDATE OF p SKIP LOCKED
)
SELECT locked.*, clock_timestamp() AS now FROM locked WHERE set_config('lock_timeout', '100ms', true) IS NOT NULL
