-- purpose: what a shard owns, and in which term
-- takes: $1 shard
-- returns: {partition_no, epoch}
SELECT partition_no, epoch FROM partitions WHERE owner = $1 ORDER BY partition_no
