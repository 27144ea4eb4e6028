-- purpose: holds of a partition whose time to confirm has run out
-- takes: $1 partition_no, $2 how many at most
-- returns: {redemption_id}
SELECT r.redemption_id
FROM redemptions r
CROSS JOIN LATERAL (
    SELECT FROM campaign_slices s
    WHERE s.campaign_id = r.campaign_id AND s.slice_no = r.slice_no AND s.partition_no = $1 OFFSET 0
) here
WHERE r.state = 'claimed' AND r.hold_expires_at IS NOT NULL AND r.hold_expires_at <= clock_timestamp()
LIMIT $2
