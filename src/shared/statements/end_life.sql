-- purpose: end a partition's life that cannot be reached: from now on claims are decided without it
-- takes: $1 partition_no, $2 epoch, $3 the incarnation for which this owner vouched, and has not been able to for too long
--        (null: for none, then only what no predecessor can vouch for any more either)
-- returns: the partition, or no row when there was nothing to end
UPDATE partitions SET incarnation = NULL
WHERE partition_no = $1 AND epoch = $2 AND incarnation IS NOT NULL AND (incarnation = $3 OR clock_timestamp() > life_until)
RETURNING partition_no
