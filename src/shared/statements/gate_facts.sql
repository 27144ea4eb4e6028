-- purpose: what the gates of these campaigns are to be set to, in one snapshot with the ledger's sequence
-- takes: $1 partition_no, $2 campaign ids
-- returns: {campaign_id, seq, of all slices of the campaign together: budget (null: unlimited), claimed, amount_budget (null:
--          unlimited), amount_claimed; per_user_limit, status, dry: a pool whose public code has no code left to give; layout,
--          held}
SELECT s.campaign_id, p.last_seq AS seq, whole.*, c.per_user_limit, c.status,
       c.type = 'pool' AND c.code IS NOT NULL AND NOT EXISTS (
           SELECT FROM codes k WHERE k.campaign_id = c.campaign_id AND k.state = 'unused' AND k.intended_user IS NULL
       ) AS dry,
       s.layout, s.held_at IS NOT NULL AS held
FROM campaign_slices s
JOIN partitions p USING (partition_no)
JOIN campaigns c USING (campaign_id)
CROSS JOIN LATERAL (
    SELECT sum(a.budget)::bigint AS budget, sum(a.claimed)::bigint AS claimed,
           sum(a.amount_budget)::bigint AS amount_budget, sum(a.amount_claimed)::bigint AS amount_claimed
    FROM campaign_slices a
    WHERE a.campaign_id = s.campaign_id
) AS whole
WHERE s.partition_no = $1 AND s.campaign_id = ANY ($2::uuid[])
