-- purpose: slices whose counter is not the number of active redemptions in them (a redemption without a slice counts too)
-- takes: $1 how many at most
-- returns: {partition_no, campaign_id, subject, expected, found, how many there are in all}, in order
SELECT partition_no, campaign_id, format('slice %s', slice_no) AS subject, coalesce(active, 0)::text AS expected,
       coalesce(claimed::text, 'no slice') AS found, count(*) OVER () AS drifts
FROM campaign_slices
FULL JOIN (
    SELECT campaign_id, slice_no, count(*) AS active
    FROM redemptions
    WHERE released_at IS NULL
    GROUP BY campaign_id, slice_no
) AS held USING (campaign_id, slice_no)
WHERE claimed IS DISTINCT FROM coalesce(active, 0)
ORDER BY campaign_id, slice_no
LIMIT $1
