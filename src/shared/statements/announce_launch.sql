-- purpose: announce that a campaign will be rushed for; announced again, it is the same launch
-- takes: $1 campaign_id, $2 starts_at, $3 ends_at, $4 by whom
INSERT INTO launch_windows (campaign_id, starts_at, ends_at, announced_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
