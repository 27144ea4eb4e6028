-- purpose: renew one lease by its exact epoch, waiting for whoever holds its row
-- takes: $1 partition_no, $2 epoch, $3 lease seconds
-- returns: the partition, or no row when the lease is lost
UPDATE partitions
SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE partition_no = $1 AND epoch = $2 AND owner IS NOT NULL
RETURNING partition_no
