-- purpose: the rows of a batch's granted claims, and the slices' counters with them in the same statement
-- takes: $1 partition_no, $2.. the redemptions as arrays, ordered by id (two batches in different orders would deadlock)
-- returns: for each slice touched: {campaign_id, slice_no, claimed after it, rows written}
WITH written AS (
    INSERT INTO redemptions (redemption_id, campaign_id, slice_no, code_id, code, user_id, use_no, user_limit, order_id,
                             discount_applied, idempotency_key, body_hash, state, claimed_at)
    SELECT row.*, 'claimed', $14
    FROM unnest($2::uuid[], $3::uuid[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::integer[], $9::integer[],
                $10::text[], $11::jsonb[], $12::text[], $13::bytea[]) AS row
    RETURNING campaign_id, slice_no
), won AS (
    SELECT campaign_id, slice_no, count(*) AS slots FROM written GROUP BY campaign_id, slice_no
)
UPDATE campaign_slices s
SET claimed = s.claimed + won.slots
FROM won
WHERE s.campaign_id = won.campaign_id AND s.slice_no = won.slice_no AND s.partition_no = $1
RETURNING s.campaign_id, s.slice_no, s.claimed, won.slots
