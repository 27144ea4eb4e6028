-- purpose: holds of a partition whose time to confirm has run out
-- takes: $1 partition_no, $2 how many at most, $3 the moment by which it has run out, or null: now
-- returns: {redemption_id}, the most overdue first
-- The clock is read once, in a query of its own: otherwise every hold would be compared with it, and not only those overdue.
SELECT r.redemption_id
FROM redemptions r
CROSS JOIN LATERAL (
    SELECT FROM campaign_slices s
    WHERE s.campaign_id = r.campaign_id AND s.slice_no = r.slice_no AND s.partition_no = $1 OFFSET 0
) here
WHERE r.state = 'claimed' AND r.hold_expires_at IS NOT NULL AND r.hold_expires_at <= (SELECT coalesce($3, clock_timestamp()))
ORDER BY r.hold_expires_at
LIMIT $2
