-- purpose: the heads that the chains must lead to
-- takes: $1 the partitions to look at, or null for all
-- returns: {partition_no, last_seq, chain_head}, in order
SELECT partition_no, last_seq, chain_head
FROM partitions
WHERE $1::smallint[] IS NULL OR partition_no = ANY ($1)
ORDER BY partition_no
