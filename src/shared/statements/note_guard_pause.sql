-- purpose: remember a pause by the velocity guard and the numbers it was made for
-- takes: $1 campaign_id, $2 now, $3 minute, $4 attempts in it, $5 baseline, $6 factor
INSERT INTO guard_pauses (campaign_id, paused_at, minute, attempts, baseline, factor) VALUES ($1, $2, $3, $4, $5, $6)
