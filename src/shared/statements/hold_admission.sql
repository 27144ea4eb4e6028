-- purpose: let nobody into a campaign while its slices are moved, unless somebody else has just begun to
-- takes: $1 campaign_id, $2 seconds after which a hold is nobody's any more
-- returns: {slice_no, held_at} of each slice; no row when it is held already
-- One moment for all slices, however they are joined: a hold is known by it.
WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at)
UPDATE campaign_slices s
SET held_at = now.at
FROM now
WHERE s.campaign_id = $1
  AND NOT EXISTS (
      SELECT FROM campaign_slices h
      WHERE h.campaign_id = $1 AND h.held_at > now.at - make_interval(secs => $2)
  )
RETURNING s.slice_no, s.held_at
