-- purpose: slices whose counter is not the number of active redemptions in them (a redemption without a slice counts too)
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s, slice %s', campaign_id, slice_no) AS place,
       CASE WHEN slices.claimed IS NULL THEN format('%s active redemptions, but there is no such slice', active)
            ELSE format('claimed is %s, but %s redemptions are active', slices.claimed, coalesce(active, 0)) END AS detail,
       count(*) OVER () AS faults
FROM campaign_slices AS slices
FULL JOIN (
    SELECT campaign_id, slice_no, count(*) AS active
    FROM redemptions
    WHERE released_at IS NULL
    GROUP BY campaign_id, slice_no
) AS held USING (campaign_id, slice_no)
WHERE slices.claimed IS DISTINCT FROM coalesce(active, 0)
ORDER BY campaign_id, slice_no
LIMIT 1
