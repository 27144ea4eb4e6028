-- purpose: everything an order holds or held, where each slot lives, and what its campaign gives back
-- takes: $1 order_id
-- returns: {redemption (JSON text), partition_no, release_on_failure, release_on_refund}, the oldest first
SELECT redemption_document(r)::text, s.partition_no, c.release_on_failure, c.release_on_refund
FROM redemptions r
JOIN campaigns c USING (campaign_id)
JOIN campaign_slices s USING (campaign_id, slice_no)
WHERE r.order_id = $1
ORDER BY r.claimed_at, r.redemption_id
