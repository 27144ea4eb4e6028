-- purpose: drop the rows of shards that were last seen more than $1 seconds ago; none of their leases can still be living
-- takes: $1 seconds
-- returns: one row {forgotten}
WITH forgotten AS (
    DELETE FROM shards WHERE seen_until < clock_timestamp() - make_interval(secs => $1) RETURNING shard_id
)
SELECT count(*) AS forgotten FROM forgotten
