-- purpose: let budget move between slices of one campaign, whose partitions are locked
-- takes: $1 campaign_id, then pairwise: $2 slice numbers, $3 where each of them is thought to live, $4 slots and $5 money more
-- returns: {slice_no, budget, amount_budget} of each; no row of one that does not live there (any more)
UPDATE campaign_slices s
SET budget = s.budget + more.slots, amount_budget = s.amount_budget + more.amount
FROM unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bigint[]) AS more (slice_no, partition_no, slots, amount)
WHERE s.campaign_id = $1 AND s.slice_no = more.slice_no AND s.partition_no = more.partition_no
RETURNING s.slice_no, s.budget, s.amount_budget
