-- purpose: how the partitions stand: for people
-- returns: {partition_no, owner (null: nobody), epoch, lease_left_s (of that owner), incarnation, cursor, last_seq,
--          wanted_by (a living shard, or null)}, in order
SELECT p.partition_no,
       CASE WHEN p.lease_until > clock_timestamp() THEN p.owner END AS owner,
       p.epoch,
       CASE WHEN p.lease_until > clock_timestamp()
           THEN extract(epoch FROM p.lease_until - clock_timestamp())::float8 END AS lease_left_s,
       p.incarnation,
       p.cursor,
       p.last_seq,
       s.shard_id AS wanted_by
FROM partitions p
LEFT JOIN shards s ON s.shard_id = p.wanted_by AND s.seen_until > clock_timestamp()
ORDER BY p.partition_no
