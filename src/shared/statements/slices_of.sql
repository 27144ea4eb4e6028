-- purpose: a campaign's slices as committed
-- takes: $1 campaign_id
-- returns: {slice_no, partition_no, budget, claimed, amount_budget, amount_claimed, held_at}, in order
SELECT slice_no, partition_no, budget, claimed, amount_budget, amount_claimed, held_at
FROM campaign_slices
WHERE campaign_id = $1
ORDER BY slice_no
