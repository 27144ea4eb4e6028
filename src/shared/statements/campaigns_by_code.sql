-- purpose: the campaigns that these codes lead to
-- takes: $1 codes in normal form
-- returns: {typed, document (JSON text of shared.domain.campaign.Campaign)} for each code that exists and is shared by all users
SELECT k.code AS typed, campaign_document(c)::text AS document
FROM codes k
JOIN campaigns c USING (campaign_id)
WHERE k.code = ANY ($1::text[]) AND k.state = 'shared'
