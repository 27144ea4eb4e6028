-- purpose: what the gates of these campaigns are to be set to, in one snapshot with the ledger's sequence
-- takes: $1 partition_no, $2 campaign ids
-- returns: {campaign_id, seq, budget (null: unlimited), claimed, amount_budget (null: unlimited), amount_claimed, per_user_limit,
--          status, dry: a pool whose public code has no code left to give}
SELECT s.campaign_id, p.last_seq AS seq, s.budget, s.claimed, s.amount_budget, s.amount_claimed, c.per_user_limit, c.status,
       c.type = 'pool' AND c.code IS NOT NULL AND NOT EXISTS (
           SELECT FROM codes k WHERE k.campaign_id = c.campaign_id AND k.state = 'unused' AND k.intended_user IS NULL
       ) AS dry
FROM campaign_slices s
JOIN partitions p USING (partition_no)
JOIN campaigns c USING (campaign_id)
WHERE s.partition_no = $1 AND s.campaign_id = ANY ($2::uuid[])
