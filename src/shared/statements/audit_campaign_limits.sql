-- purpose: campaigns whose slices do not add up to their limit (an unlimited one has slices without a budget, at least one)
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s', campaign_id) AS place,
       format('total_limit is %s, but the budgets of %s slices make %s',
              coalesce(total_limit::text, 'unlimited'), slices, coalesce(budget::text, 'none')) AS detail,
       count(*) OVER () AS faults
FROM campaigns
JOIN LATERAL (
    SELECT count(*) AS slices, count(budget) AS bounded, sum(budget) AS budget
    FROM campaign_slices
    WHERE campaign_slices.campaign_id = campaigns.campaign_id
) AS held ON true
WHERE slices = 0
   OR bounded <> CASE WHEN total_limit IS NULL THEN 0 ELSE slices END
   OR budget IS DISTINCT FROM total_limit
ORDER BY campaign_id
LIMIT 1
