-- purpose: campaigns, and what is held of them
-- takes: $1 campaign ids
-- returns: {document (JSON text of shared.domain.campaign.Campaign), claimed, amount_claimed, dry: a pool whose public code has no
--          code left to give} for each that exists
SELECT campaign_document(c)::text AS document, held.claimed, held.amount_claimed,
       c.type = 'pool' AND c.code IS NOT NULL AND NOT EXISTS (
           SELECT FROM codes k WHERE k.campaign_id = c.campaign_id AND k.state = 'unused' AND k.intended_user IS NULL
       ) AS dry
FROM campaigns c
CROSS JOIN LATERAL (
    SELECT sum(s.claimed)::bigint AS claimed, sum(s.amount_claimed)::bigint AS amount_claimed
    FROM campaign_slices s
    WHERE s.campaign_id = c.campaign_id
) AS held
WHERE c.campaign_id = ANY ($1::uuid[])
