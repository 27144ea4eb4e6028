-- purpose: move redemptions to their next state and, with the same statement, give back the slots, the money and the single-use
--          codes of those that were released
-- takes: $1 redemption ids, $2 state before, $3 state after, $4 released_reason or null, $5 now
-- returns: {redemption (JSON text), slots given back in all} for each that was in that state
WITH moved AS (
    UPDATE redemptions r
    SET state = $3,
        redeemed_at = CASE WHEN $3 = 'redeemed' THEN $5::timestamptz ELSE redeemed_at END,
        released_at = CASE WHEN $3 = 'released' THEN $5::timestamptz END,
        released_reason = $4
    WHERE r.redemption_id = ANY ($1::uuid[]) AND r.state = $2
    RETURNING r.*
), freed AS (
    SELECT campaign_id, slice_no, count(*) AS slots, sum(amount)::bigint AS amount
    FROM moved
    WHERE released_at IS NOT NULL
    GROUP BY campaign_id, slice_no
), slices AS (
    UPDATE campaign_slices s
    SET claimed = s.claimed - freed.slots, amount_claimed = s.amount_claimed - freed.amount, freed_at = clock_timestamp()
    FROM freed
    WHERE s.campaign_id = freed.campaign_id AND s.slice_no = freed.slice_no
    RETURNING freed.slots
), codes AS (
    UPDATE codes k
    SET state = 'unused', claimed_by = NULL, claimed_at = NULL
    WHERE k.code_id = ANY (ARRAY(SELECT code_id FROM moved WHERE single_use AND released_at IS NOT NULL))
)
SELECT redemption_document(moved::redemptions)::text, (SELECT coalesce(sum(slots), 0)::bigint FROM slices) AS slots
FROM moved
