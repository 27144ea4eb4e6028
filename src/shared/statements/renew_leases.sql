-- purpose: renew leases, each by its exact epoch
-- takes: $1 partition numbers and $2 epochs (pairwise), $3 lease seconds
-- returns: the partitions renewed; a missing one is lost
UPDATE partitions p
SET lease_until = clock_timestamp() + make_interval(secs => $3)
FROM unnest($1::smallint[], $2::bigint[]) AS held (partition_no, epoch)
WHERE p.partition_no = held.partition_no AND p.epoch = held.epoch AND p.owner IS NOT NULL
RETURNING p.partition_no
