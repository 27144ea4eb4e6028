-- purpose: the rows of granted claims, and with them, in the same statement, the slices' counters, single-use codes
--          and the attempts that succeeded
-- takes: $1 the partitions that are locked, $2.. the redemptions as arrays, ordered by id (two batches in different orders would deadlock), $18 now,
--        $19.. of their attempts, pairwise: ip, code as typed, front door
-- returns: for each slice touched: {campaign_id, slice_no, claimed and amount_claimed after it, rows written, codes taken in all}
WITH written AS (
    INSERT INTO redemptions (redemption_id, campaign_id, slice_no, code_id, code, user_id, use_no, user_limit, order_id,
                             discount_applied, idempotency_key, body_hash, amount, single_use, hold_expires_at,
                             spelling, state, claimed_at)
    SELECT row.*, 'claimed', $18
    FROM unnest($2::uuid[], $3::uuid[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::integer[], $9::integer[],
                $10::text[], $11::jsonb[], $12::text[], $13::bytea[], $14::bigint[], $15::boolean[],
                $16::timestamptz[], $17::text[]) AS row
    RETURNING campaign_id, slice_no, code_id, amount, single_use
), taken AS (
    UPDATE codes k
    SET state = 'claimed', claimed_by = ($7::text[])[array_position($5::bigint[], k.code_id)], claimed_at = $18
    WHERE k.code_id = ANY (ARRAY(SELECT code_id FROM written WHERE single_use)) AND k.state = 'unused'
    RETURNING k.code_id
), attempted AS (
    INSERT INTO redemption_attempts (at, call, result, user_id, ip, code, campaign_id, claim_id, door)
    SELECT $18, 'redeem', '201', row.*
    FROM unnest($7::text[], $19::text[], $20::text[], $3::uuid[], $2::uuid[], $21::text[]) AS row
), won AS (
    SELECT campaign_id, slice_no, count(*) AS slots, sum(amount)::bigint AS amount FROM written GROUP BY campaign_id, slice_no
), moved AS (
    UPDATE campaign_slices s
    SET claimed = s.claimed + won.slots, amount_claimed = s.amount_claimed + won.amount
    FROM won
    WHERE s.campaign_id = won.campaign_id AND s.slice_no = won.slice_no AND s.partition_no = ANY ($1::smallint[])
    RETURNING s.campaign_id, s.slice_no, s.claimed, s.amount_claimed, won.slots
)
SELECT moved.*, (SELECT count(*) FROM taken) AS codes FROM moved
