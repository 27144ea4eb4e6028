-- purpose: a single-use code beside what its active redemption makes of it
-- takes: $1 code
-- returns: {partition_no, campaign (its id, name and code, JSON text), before and after (JSON texts)}; no row when more than one
--          redemption, or one of another campaign, used the code up
SELECT (SELECT min(s.partition_no) FROM campaign_slices s WHERE s.campaign_id = k.campaign_id) AS partition_no,
       json_build_object('campaign_id', c.campaign_id, 'name', c.name, 'code', c.code)::text AS campaign,
       json_build_object('state', k.state, 'claimed_by', k.claimed_by, 'claimed_at', k.claimed_at)::text AS before,
       json_build_object('state', CASE WHEN r.user_id IS NULL THEN 'unused' ELSE 'claimed' END,
                         'claimed_by', r.user_id, 'claimed_at', r.claimed_at)::text AS after
FROM codes k
JOIN campaigns c USING (campaign_id)
LEFT JOIN redemptions r ON r.code_id = k.code_id AND r.single_use AND r.released_at IS NULL
WHERE k.code = $1 AND k.state <> 'shared' AND (r.campaign_id IS NULL OR r.campaign_id = k.campaign_id)
