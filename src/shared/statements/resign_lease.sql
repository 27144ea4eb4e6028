-- purpose: give a partition up, by its exact epoch, and say so: the next owner waits neither for the lease to end nor to look
-- takes: $1 partition_no, $2 epoch
-- returns: a row when it was still held
WITH resigned AS (
    UPDATE partitions SET owner = NULL, lease_until = '-infinity' WHERE partition_no = $1 AND epoch = $2 RETURNING partition_no
)
SELECT pg_notify('lastslot_ownership', '') FROM resigned
