-- purpose: everything an order holds or held
-- takes: $1 order_id
SELECT redemption_document(r)::text FROM redemptions r WHERE r.order_id = $1 ORDER BY r.claimed_at, r.redemption_id
