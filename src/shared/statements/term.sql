-- purpose: what the owner at this epoch finds of a partition's Redis state
-- takes: $1 partition_no, $2 epoch
-- returns: {incarnation, cursor}, or no row when fenced
SELECT incarnation, cursor FROM partitions WHERE partition_no = $1 AND epoch = $2
