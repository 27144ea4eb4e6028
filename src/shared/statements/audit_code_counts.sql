-- purpose: campaigns that have another number of single-use codes than was minted for them (codes without a campaign count too)
-- returns: {place, detail, faults} of the first, none when there is none
SELECT format('campaign %s', campaign_id) AS place,
       CASE WHEN campaigns.campaign_id IS NULL THEN format('%s single-use codes, but there is no such campaign', codes)
            ELSE format('minted is %s, but there are %s single-use codes', minted, coalesce(codes, 0)) END AS detail,
       count(*) OVER () AS faults
FROM campaigns
FULL JOIN (
    SELECT campaign_id, count(*) AS codes
    FROM codes
    WHERE state <> 'shared'
    GROUP BY campaign_id
) AS held USING (campaign_id)
WHERE minted IS DISTINCT FROM coalesce(codes, 0)
ORDER BY campaign_id
LIMIT 1
