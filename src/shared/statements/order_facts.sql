-- purpose: what orders hold, as stacking rules see it; a hold that is overdue is held no more
-- takes: $1 order ids, each once, $2 now
-- returns: one JSON text, an array of [order_id, {code, campaign_code, rules, campaign_id, user_id}], the oldest first, or null
-- What is active is sorted out after the look-up: an index of all that is active would be read as a whole.
SELECT json_agg(json_build_array(asked.order_id, json_build_object(
           'code', held.code, 'campaign_code', c.code, 'rules', c.stacking_rules,
           'campaign_id', campaign_id, 'user_id', held.user_id
       )) ORDER BY held.claimed_at, held.redemption_id)::text
FROM unnest($1::text[]) AS asked (order_id)
CROSS JOIN LATERAL (SELECT * FROM redemptions r WHERE r.order_id = asked.order_id OFFSET 0) held
JOIN campaigns c USING (campaign_id)
WHERE held.released_at IS NULL AND (held.state <> 'claimed' OR held.hold_expires_at IS NULL OR held.hold_expires_at > $2)
