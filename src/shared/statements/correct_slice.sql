-- purpose: set a slice's counters, and have its gate told so by the partition's owner
-- takes: $1 campaign_id, $2 slice_no, $3 {claimed, amount_claimed} (JSON text)
UPDATE campaign_slices
SET claimed = ($3::json ->> 'claimed')::bigint, amount_claimed = ($3::json ->> 'amount_claimed')::bigint,
    freed_at = clock_timestamp()
WHERE campaign_id = $1 AND slice_no = $2
