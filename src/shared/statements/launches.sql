-- purpose: the launches announced for a campaign that are not over
-- takes: $1 campaign_id
-- returns: {starts_at, ends_at}, the next first
SELECT starts_at, ends_at FROM launch_windows WHERE campaign_id = $1 AND ends_at > clock_timestamp() ORDER BY starts_at, ends_at
