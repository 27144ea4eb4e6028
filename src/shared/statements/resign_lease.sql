-- purpose: give a partition up, by its exact epoch, so that the next owner need not wait for the lease to end
-- takes: $1 partition_no, $2 epoch
UPDATE partitions SET owner = NULL, lease_until = '-infinity' WHERE partition_no = $1 AND epoch = $2
