-- purpose: a campaign's numbers in one snapshot: what is held from its slices, what became of claims from their rows
-- takes: $1 campaign_id
-- returns: {status, total_limit, claimed, redeemed, released}, none when there is no such campaign
SELECT c.status, c.total_limit,
       (SELECT sum(claimed)::bigint FROM campaign_slices WHERE campaign_id = $1) AS claimed,
       (SELECT count(*) FROM redemptions WHERE campaign_id = $1 AND released_at IS NULL AND state = 'redeemed') AS redeemed,
       (SELECT count(*) FROM redemptions WHERE campaign_id = $1 AND released_at IS NOT NULL) AS released
FROM campaigns c
WHERE c.campaign_id = $1
