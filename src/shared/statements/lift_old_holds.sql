-- purpose: let people into campaigns again whose slices somebody wanted to move who is gone
-- takes: $1 partition_no, whose lock is held, $2 seconds after which a hold is nobody's any more
UPDATE campaign_slices SET held_at = NULL
WHERE partition_no = $1 AND held_at <= clock_timestamp() - make_interval(secs => $2)
