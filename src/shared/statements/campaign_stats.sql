-- purpose: a campaign's numbers in one snapshot: what is held from its slices, what became of claims from their rows
-- takes: $1 campaign_id
-- returns: {status, total_limit, claimed, redeemed, released, budget, amount_limit, amount_claimed}, none when there is no such
--          campaign; budget: slots there are in all, null for any number
SELECT c.status, c.total_limit, held.claimed,
       (SELECT count(*) FROM redemptions WHERE campaign_id = $1 AND released_at IS NULL AND state = 'redeemed') AS redeemed,
       (SELECT count(*) FROM redemptions WHERE campaign_id = $1 AND released_at IS NOT NULL) AS released,
       held.budget, c.amount_limit, held.amount_claimed
FROM campaigns c
CROSS JOIN LATERAL (
    SELECT sum(s.claimed)::bigint AS claimed, sum(s.budget)::bigint AS budget, sum(s.amount_claimed)::bigint AS amount_claimed
    FROM campaign_slices s
    WHERE s.campaign_id = $1
) AS held
WHERE c.campaign_id = $1
