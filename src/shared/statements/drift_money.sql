-- purpose: slices whose money is not what their active redemptions took
-- takes: $1 how many at most
-- returns: {partition_no, campaign_id, subject, expected, found, how many there are in all}, in order
SELECT partition_no, campaign_id, format('slice %s', slice_no) AS subject, coalesce(taken, 0)::text AS expected,
       amount_claimed::text AS found, count(*) OVER () AS drifts
FROM campaign_slices
LEFT JOIN (
    SELECT campaign_id, slice_no, sum(amount) AS taken
    FROM redemptions
    WHERE released_at IS NULL
    GROUP BY campaign_id, slice_no
) AS held USING (campaign_id, slice_no)
WHERE amount_claimed <> coalesce(taken, 0)
ORDER BY campaign_id, slice_no
LIMIT $1
