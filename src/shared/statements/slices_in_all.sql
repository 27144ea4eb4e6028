-- purpose: into how many slices a campaign is cut
-- takes: $1 campaign_id
-- returns: one row {slices}
SELECT count(*) AS slices FROM campaign_slices WHERE campaign_id = $1
