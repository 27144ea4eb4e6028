-- purpose: renew leases, each by its exact epoch, without waiting for a row that somebody holds
-- takes: $1 partition numbers and $2 epochs (pairwise), $3 lease seconds
-- returns: the partitions renewed; a missing one is lost or held: renew_lease tells
WITH free AS MATERIALIZED (
    SELECT p.partition_no
    FROM partitions p
    JOIN unnest($1::smallint[], $2::bigint[]) AS held (partition_no, epoch) USING (partition_no, epoch)
    WHERE p.owner IS NOT NULL
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE partitions p
SET lease_until = clock_timestamp() + make_interval(secs => $3)
FROM free
WHERE p.partition_no = free.partition_no
RETURNING p.partition_no
