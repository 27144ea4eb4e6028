-- purpose: which of these users hold or ever held something of a campaign
-- takes: $1 campaign_id, $2 users
-- returns: {user_id}
-- In two parts, because each has its index.
SELECT asked.user_id
FROM unnest($2::text[]) AS asked (user_id)
WHERE EXISTS (SELECT FROM redemptions h
              WHERE h.campaign_id = $1 AND h.user_id = asked.user_id AND h.released_at IS NULL)
   OR EXISTS (SELECT FROM redemptions h
              WHERE h.campaign_id = $1 AND h.user_id = asked.user_id AND h.released_at IS NOT NULL)
