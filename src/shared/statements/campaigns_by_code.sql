-- purpose: the campaigns that these codes lead to, with the partitions of their slices
-- takes: $1 codes in normal form
-- returns: {typed, and the fields of shared.domain.campaign.Campaign} for each code that exists and is shared by all users
SELECT k.code AS typed, c.campaign_id, c.name, c.type, c.code, c.discount, c.total_limit, c.per_user_limit, c.timezone,
       c.starts_at, c.ends_at, c.status, c.release_on_failure, c.release_on_refund, c.version,
       (SELECT jsonb_agg(jsonb_build_object('slice_no', s.slice_no, 'partition_no', s.partition_no) ORDER BY s.slice_no)
        FROM campaign_slices s WHERE s.campaign_id = c.campaign_id) AS slices
FROM codes k
JOIN campaigns c USING (campaign_id)
WHERE k.code = ANY ($1::text[]) AND k.state = 'shared'
