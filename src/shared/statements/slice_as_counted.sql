-- purpose: a slice's counters beside what its active redemptions come to
-- takes: $1 campaign_id, $2 slice_no
-- returns: {partition_no, campaign (its id, name and code, JSON text), before and after (JSON texts)}
SELECT s.partition_no,
       json_build_object('campaign_id', c.campaign_id, 'name', c.name, 'code', c.code)::text AS campaign,
       json_build_object('claimed', s.claimed, 'amount_claimed', s.amount_claimed)::text AS before,
       json_build_object('claimed', held.active, 'amount_claimed', held.taken)::text AS after
FROM campaign_slices s
JOIN campaigns c USING (campaign_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS active, coalesce(sum(amount), 0)::bigint AS taken
    FROM redemptions r
    WHERE r.campaign_id = s.campaign_id AND r.slice_no = s.slice_no AND r.released_at IS NULL
) AS held
WHERE s.campaign_id = $1 AND s.slice_no = $2
