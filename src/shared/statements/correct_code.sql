-- purpose: set the state of a single-use code, and have its campaign's gate told so by the partition's owner
-- takes: $1 code, $2 {state, claimed_by, claimed_at} (JSON text)
WITH corrected AS (
    UPDATE codes
    SET state = $2::json ->> 'state', claimed_by = $2::json ->> 'claimed_by', claimed_at = ($2::json ->> 'claimed_at')::timestamptz
    WHERE code = $1
    RETURNING campaign_id
)
UPDATE campaign_slices SET freed_at = clock_timestamp() WHERE campaign_id = ANY (ARRAY(SELECT campaign_id FROM corrected))
