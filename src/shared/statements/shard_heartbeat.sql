-- purpose: say that a shard lives, for as long as a lease lasts, and how it fares; the others are told when they should know now
-- takes: $1 shard_id, $2 seconds, $3 whether Redis answers it, $4 whether it takes no partition at present
-- returns: a row when it is new, or has begun to rest or ended it
WITH same AS (
    SELECT FROM shards WHERE shard_id = $1 AND resting = $4 AND seen_until > clock_timestamp()
), said AS (
    INSERT INTO shards (shard_id, seen_until, reaches_redis, resting)
    VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3, $4)
    ON CONFLICT (shard_id) DO UPDATE
    SET seen_until = excluded.seen_until, reaches_redis = excluded.reaches_redis, resting = excluded.resting
    RETURNING shard_id
)
SELECT pg_notify('lastslot_ownership', '') FROM said WHERE NOT EXISTS (SELECT FROM same)
