-- purpose: who lives and who owns what, in one snapshot
-- takes: $1 lease seconds
-- returns: one row {living shard ids, those of them that Redis answers, those that rest,
--          seconds until the next lease or sign of life ends if nobody renews it (null: none will),
--          partition numbers, their owners (null: free to take), the shards that they are wanted by (null: any)}
-- What ends later than could have been granted, a lease or a sign of life, is the work of a clock that jumped: it has expired.
WITH living AS MATERIALIZED (
    SELECT shard_id, seen_until, reaches_redis, resting FROM shards
    WHERE seen_until BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $1)
)
SELECT
    (SELECT coalesce(array_agg(shard_id), '{}') FROM living) AS living,
    (SELECT coalesce(array_agg(shard_id) FILTER (WHERE reaches_redis), '{}') FROM living) AS reaching,
    (SELECT coalesce(array_agg(shard_id) FILTER (WHERE resting), '{}') FROM living) AS resting,
    extract(epoch FROM least(
        min(lease_until) FILTER (WHERE owner IS NOT NULL AND lease_until > clock_timestamp()),
        (SELECT min(seen_until) FROM living)
    ) - clock_timestamp())::float8 AS ends_in,
    array_agg(partition_no ORDER BY partition_no) AS partitions,
    array_agg(
        CASE WHEN lease_until BETWEEN clock_timestamp() AND clock_timestamp() + 2 * make_interval(secs => $1) THEN owner END
        ORDER BY partition_no
    ) AS owners,
    array_agg(wanted_by ORDER BY partition_no) AS wanted
FROM partitions
