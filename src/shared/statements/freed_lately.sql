-- purpose: campaigns of a partition of which slots were given back lately (a release, a raised limit, a resumed campaign)
-- takes: $1 partition_no, $2 seconds
-- returns: {campaign_id}
SELECT campaign_id FROM campaign_slices
WHERE partition_no = $1 AND freed_at > clock_timestamp() - make_interval(secs => $2)
