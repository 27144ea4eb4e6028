-- purpose: what orders hold, as stacking rules see it; a hold that is overdue is held no more
-- takes: $1 order ids, each once, $2 now
-- returns: one JSON text, an array of [order_id, {code, campaign_code, rules}], the oldest first, or null
SELECT json_agg(json_build_array(asked.order_id, held.document) ORDER BY held.claimed_at, held.redemption_id)::text
FROM unnest($1::text[]) AS asked (order_id)
CROSS JOIN LATERAL (
    SELECT r.claimed_at, r.redemption_id,
           (SELECT json_build_object('code', r.code, 'campaign_code', c.code, 'rules', c.stacking_rules)
            FROM campaigns c WHERE c.campaign_id = r.campaign_id) AS document
    FROM redemptions r
    WHERE r.order_id = asked.order_id
      AND r.released_at IS NULL AND (r.state <> 'claimed' OR r.hold_expires_at IS NULL OR r.hold_expires_at > $2)
    OFFSET 0
) held
