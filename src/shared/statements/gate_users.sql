-- purpose: everybody who holds or ever held something of a campaign, with the number that is active
-- takes: $1 campaign_id, $2 partition_no; streamed
SELECT r.user_id, count(*) FILTER (WHERE r.released_at IS NULL) AS active
FROM redemptions r
JOIN campaign_slices s USING (campaign_id, slice_no)
WHERE r.campaign_id = $1 AND s.partition_no = $2
GROUP BY r.user_id
