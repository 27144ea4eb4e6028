-- purpose: who lives and who owns what, in one snapshot
-- takes: $1 lease seconds
-- returns: one row {living shard ids, partition numbers, their owners (null: free to take)}
-- What ends later than could have been granted, a lease or a sign of life, is the work of a clock that jumped: it has expired.
SELECT
    (
        SELECT coalesce(array_agg(shard_id), '{}') FROM shards
        WHERE seen_until BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $1)
    ) AS shards,
    array_agg(partition_no ORDER BY partition_no) AS partitions,
    array_agg(
        CASE WHEN lease_until BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $1) THEN owner END
        ORDER BY partition_no
    ) AS owners
FROM partitions
