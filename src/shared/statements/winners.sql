-- purpose: who won with these claims, and how many active redemptions of the campaign each of them has now
-- takes: $1 claim ids
-- returns: {campaign_id, user_id, active} for each claim that won
SELECT r.campaign_id, r.user_id,
       (SELECT count(*) FROM redemptions h
        WHERE h.campaign_id = r.campaign_id AND h.user_id = r.user_id AND h.released_at IS NULL) AS active
FROM redemptions r
WHERE r.redemption_id = ANY ($1::uuid[])
