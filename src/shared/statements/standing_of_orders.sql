-- purpose: what orders hold, oldest first; holds that are overdue among it
-- takes: $1 order ids
-- returns: {order_id, redemption (JSON text)}
SELECT asked.order_id, held.redemption
FROM unnest($1::text[]) AS asked (order_id)
CROSS JOIN LATERAL (
    SELECT redemption_document(r)::text AS redemption, r.claimed_at, r.redemption_id
    FROM redemptions r
    WHERE r.order_id = asked.order_id AND coalesce(r.released_at, 'infinity'::timestamptz) = 'infinity' OFFSET 0
) AS held
ORDER BY held.claimed_at, held.redemption_id
