-- purpose: campaigns that have another number of single-use codes than was minted for them (codes without a campaign count too)
-- takes: $1 how many at most
-- returns: {partition_no, campaign_id, subject, expected, found, how many there are in all}, in order
SELECT NULL::smallint AS partition_no, campaign_id, 'single-use codes' AS subject, coalesce(codes, 0)::text AS expected,
       coalesce(minted::text, 'no campaign') AS found, count(*) OVER () AS drifts
FROM campaigns
FULL JOIN (
    SELECT campaign_id, count(*) AS codes
    FROM codes
    WHERE state <> 'shared'
    GROUP BY campaign_id
) AS held USING (campaign_id)
WHERE minted IS DISTINCT FROM coalesce(codes, 0)
ORDER BY campaign_id
LIMIT $1
