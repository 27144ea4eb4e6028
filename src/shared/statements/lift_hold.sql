-- purpose: let people into a campaign again whose slices are not moved after all
-- takes: $1 campaign_id, $2 the moment of the hold
UPDATE campaign_slices SET held_at = NULL WHERE campaign_id = $1 AND held_at = $2
