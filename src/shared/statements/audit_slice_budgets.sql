-- purpose: slices that gave more slots or more money than they had. The table's CHECKs forbid it; this shows that they stood.
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s, slice %s', campaign_id, slice_no) AS place,
       CASE WHEN claimed > budget THEN format('claimed is %s of a budget of %s', claimed, budget)
            ELSE format('amount_claimed is %s of a budget of %s', amount_claimed, amount_budget) END AS detail,
       count(*) OVER () AS faults
FROM campaign_slices
WHERE claimed > budget OR amount_claimed > amount_budget
ORDER BY campaign_id, slice_no
LIMIT 1
