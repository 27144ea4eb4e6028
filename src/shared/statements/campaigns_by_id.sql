-- purpose: campaigns as their administrators see them, and how many slots are held
-- takes: $1 campaign ids
-- returns: {claimed, and the fields of shared.domain.campaign.Campaign} for each that exists
SELECT c.campaign_id, c.name, c.type, c.code, c.discount, c.total_limit, c.per_user_limit, c.timezone,
       c.starts_at, c.ends_at, c.status, c.release_on_failure, c.release_on_refund, c.version, held.slices, held.claimed
FROM campaigns c
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('slice_no', s.slice_no, 'partition_no', s.partition_no) ORDER BY s.slice_no) AS slices,
           sum(s.claimed)::bigint AS claimed
    FROM campaign_slices s
    WHERE s.campaign_id = c.campaign_id
) AS held
WHERE c.campaign_id = ANY ($1::uuid[])
