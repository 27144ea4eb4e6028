-- purpose: campaigns with more active redemptions than their limit, counted row by row and not by any counter
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s', campaign_id) AS place,
       format('%s active redemptions of %s', active, total_limit) AS detail,
       count(*) OVER () AS faults
FROM campaigns
JOIN (
    SELECT campaign_id, count(*) AS active
    FROM redemptions
    WHERE released_at IS NULL
    GROUP BY campaign_id
) AS held USING (campaign_id)
WHERE active > total_limit
ORDER BY campaign_id
LIMIT 1
