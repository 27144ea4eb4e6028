-- purpose: which life of its Redis state a partition is in, and up to where that life's mailbox is decided
-- takes: $1 partition_no
-- returns: {incarnation, cursor}
SELECT incarnation, cursor FROM partitions WHERE partition_no = $1
