-- purpose: where a slice lives
-- takes: $1 campaign_id, $2 slice_no
-- returns: {partition_no}
SELECT partition_no FROM campaign_slices WHERE campaign_id = $1 AND slice_no = $2
