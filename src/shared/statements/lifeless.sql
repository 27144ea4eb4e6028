-- purpose: in which partitions claims are decided without Redis
-- takes: $1 partition numbers
-- returns: {partition_no}
SELECT partition_no FROM partitions WHERE partition_no = ANY ($1::smallint[]) AND incarnation IS NULL
