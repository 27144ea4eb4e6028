-- purpose: the velocity guard's pause that a campaign has not been resumed from
-- takes: $1 campaign_id
-- returns: {paused_at, minute, attempts, baseline, factor}
SELECT p.paused_at, p.minute, p.attempts, p.baseline, p.factor
FROM guard_pauses p
JOIN campaigns c USING (campaign_id)
WHERE p.campaign_id = $1 AND p.resumed_at IS NULL AND c.status = 'paused'
ORDER BY p.paused_at DESC
LIMIT 1
