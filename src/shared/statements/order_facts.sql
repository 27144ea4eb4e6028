-- purpose: what orders hold, as stacking rules see it; a hold that is overdue is held no more
-- takes: $1 order ids, each once, $2 now
-- returns: one JSON text, an array of [order_id, {code, spelling, campaign_code, rules, campaign_id, user_id}], the oldest
--          first, or null
SELECT json_agg(json_build_array(asked.order_id, json_build_object(
           'code', held.code, 'spelling', held.spelling, 'campaign_code', c.code, 'rules', c.stacking_rules,
           'campaign_id', campaign_id, 'user_id', held.user_id
       )) ORDER BY held.claimed_at, held.redemption_id)::text
FROM unnest($1::text[]) AS asked (order_id)
CROSS JOIN LATERAL (
    SELECT * FROM redemptions r
    WHERE r.order_id = asked.order_id AND coalesce(r.released_at, 'infinity'::timestamptz) = 'infinity' OFFSET 0
) held
JOIN campaigns c USING (campaign_id)
WHERE held.state <> 'claimed' OR held.hold_expires_at IS NULL OR held.hold_expires_at > $2
