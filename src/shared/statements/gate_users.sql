-- purpose: everybody who holds or ever held something of a campaign, with the number that is active
-- takes: $1 campaign_id, $2 partition_no; streamed
-- In two parts, because each has its index: together they would read every redemption of every campaign.
SELECT r.user_id, count(*) FILTER (WHERE r.active) AS active
FROM campaign_slices s
CROSS JOIN LATERAL (
    SELECT user_id, true AS active FROM redemptions h
    WHERE h.campaign_id = s.campaign_id AND h.slice_no = s.slice_no AND h.released_at IS NULL
    UNION ALL
    SELECT user_id, false FROM redemptions h
    WHERE h.campaign_id = s.campaign_id AND h.slice_no = s.slice_no AND h.released_at IS NOT NULL
) r
WHERE s.campaign_id = $1 AND s.partition_no = $2
GROUP BY r.user_id
