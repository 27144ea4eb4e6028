-- purpose: slices that gave more than they had. The table's CHECK forbids it; this shows that it stood.
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s, slice %s', campaign_id, slice_no) AS place,
       format('claimed is %s of a budget of %s', claimed, budget) AS detail,
       count(*) OVER () AS faults
FROM campaign_slices
WHERE claimed > budget
ORDER BY campaign_id, slice_no
LIMIT 1
