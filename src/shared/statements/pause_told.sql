-- purpose: remember that somebody was alerted to a pause by the velocity guard
-- takes: $1 campaign_id, $2 paused_at
UPDATE guard_pauses SET told_at = clock_timestamp() WHERE campaign_id = $1 AND paused_at = $2
