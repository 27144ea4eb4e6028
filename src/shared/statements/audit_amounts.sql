-- purpose: slices whose money is not what their active redemptions took, or more than they had
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s, slice %s', campaign_id, slice_no) AS place,
       format('amount_claimed is %s of %s, but active redemptions took %s',
              coalesce(amount_claimed::text, 'nothing'), coalesce(amount_budget::text, 'unlimited'), coalesce(taken, 0)) AS detail,
       count(*) OVER () AS faults
FROM campaign_slices
FULL JOIN (
    SELECT campaign_id, slice_no, sum(amount) AS taken
    FROM redemptions
    WHERE released_at IS NULL
    GROUP BY campaign_id, slice_no
) AS held USING (campaign_id, slice_no)
WHERE coalesce(amount_claimed, 0) <> coalesce(taken, 0)
   OR amount_claimed > amount_budget
ORDER BY campaign_id, slice_no
LIMIT 1
