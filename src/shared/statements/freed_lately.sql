-- purpose: campaigns of a partition of which slots were given back lately, in whichever of their slices (a release, a raised
--          limit, a resumed campaign)
-- takes: $1 partition_no, $2 seconds
-- returns: {campaign_id}
SELECT DISTINCT here.campaign_id
FROM campaign_slices freed
JOIN campaign_slices here USING (campaign_id)
WHERE freed.freed_at > (SELECT clock_timestamp() - make_interval(secs => $2)) AND here.partition_no = $1
