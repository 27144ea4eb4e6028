-- purpose: a page of campaigns, the newest first
-- takes: $1 last campaign id of the page before or null, $2 how many
-- returns: {campaign_id}
SELECT campaign_id
FROM campaigns
WHERE $1::uuid IS NULL
   OR (created_at, campaign_id) < (SELECT created_at, campaign_id FROM campaigns WHERE campaign_id = $1)
ORDER BY created_at DESC, campaign_id DESC
LIMIT $2
