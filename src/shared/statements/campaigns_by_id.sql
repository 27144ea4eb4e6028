-- purpose: campaigns, and what is held of them
-- takes: $1 campaign ids
-- returns: {document (JSON text of shared.domain.campaign.Campaign), claimed, amount_claimed} for each that exists
SELECT campaign_document(c)::text AS document, held.claimed, held.amount_claimed
FROM campaigns c
CROSS JOIN LATERAL (
    SELECT sum(s.claimed)::bigint AS claimed, sum(s.amount_claimed)::bigint AS amount_claimed
    FROM campaign_slices s
    WHERE s.campaign_id = c.campaign_id
) AS held
WHERE c.campaign_id = ANY ($1::uuid[])
