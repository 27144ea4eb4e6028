-- purpose: ask that a partition be moved to a shard and stay there while that lives (null: anywhere); all shards are told
-- takes: $1 partition_no, $2 shard_id or null
-- returns: {owner}, whoever owns it now, or null; no row when there is no such partition
WITH wanted AS (
    UPDATE partitions SET wanted_by = $2 WHERE partition_no = $1
    RETURNING CASE WHEN lease_until > clock_timestamp() THEN owner END AS owner
)
SELECT owner, pg_notify('lastslot_ownership', '') FROM wanted
