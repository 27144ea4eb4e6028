-- purpose: everybody served by a campaign's slice who holds or ever held something of the campaign, each once, with the number
--          that is active
-- takes: $1 campaign_id, $2 partition_no of the slice; streamed
-- In two parts, because each has its index, in the order of users: nothing is sorted or gathered, so the first come at once. Who
-- won before the campaign was split counts wherever he is served now.
SELECT h.user_id, count(*) AS active
FROM redemptions h
WHERE h.campaign_id = $1 AND h.released_at IS NULL
  AND slice_of(h.user_id, (SELECT count(*) FROM campaign_slices WHERE campaign_id = $1))
    = (SELECT slice_no FROM campaign_slices WHERE campaign_id = $1 AND partition_no = $2)
GROUP BY h.user_id
UNION ALL
SELECT DISTINCT r.user_id, 0
FROM redemptions r
WHERE r.campaign_id = $1 AND r.released_at IS NOT NULL
  AND slice_of(r.user_id, (SELECT count(*) FROM campaign_slices WHERE campaign_id = $1))
    = (SELECT slice_no FROM campaign_slices WHERE campaign_id = $1 AND partition_no = $2)
  AND NOT EXISTS (SELECT FROM redemptions h WHERE h.campaign_id = $1 AND h.user_id = r.user_id AND h.released_at IS NULL)
