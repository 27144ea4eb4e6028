-- purpose: campaigns whose slices do not add up to what there is: slots by the limit and, of single-use codes, by how many were
--          minted; money by its limit. An unlimited one has slices without a budget, at least one.
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s', campaign_id) AS place,
       CASE WHEN slices = 0 OR bounded <> CASE WHEN slots IS NULL THEN 0 ELSE slices END OR budget IS DISTINCT FROM slots
            THEN format('there are %s slots (total_limit %s, minted %s), but the budgets of %s slices make %s',
                        coalesce(slots::text, 'unlimited'), coalesce(total_limit::text, 'unlimited'), minted, slices,
                        coalesce(budget::text, 'none'))
            ELSE format('amount_limit is %s, but the amount budgets of %s slices make %s',
                        coalesce(amount_limit::text, 'unlimited'), slices, coalesce(amount_budget::text, 'none')) END AS detail,
       count(*) OVER () AS faults
FROM campaigns
CROSS JOIN LATERAL (
    SELECT CASE type WHEN 'shared' THEN total_limit ELSE least(total_limit, minted) END AS slots
) AS given
CROSS JOIN LATERAL (
    SELECT count(*) AS slices, count(budget) AS bounded, sum(budget) AS budget,
           count(amount_budget) AS amount_bounded, sum(amount_budget) AS amount_budget
    FROM campaign_slices
    WHERE campaign_slices.campaign_id = campaigns.campaign_id
) AS held
WHERE slices = 0
   OR bounded <> CASE WHEN slots IS NULL THEN 0 ELSE slices END
   OR budget IS DISTINCT FROM slots
   OR amount_bounded <> CASE WHEN amount_limit IS NULL THEN 0 ELSE slices END
   OR amount_budget IS DISTINCT FROM amount_limit
ORDER BY campaign_id
LIMIT 1
