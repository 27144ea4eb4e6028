-- purpose: move a redemption to its next state and, with the same statement, give its slot back if it was released
-- takes: $1 redemption_id, $2 state before, $3 state after, $4 released_reason or null, $5 now
-- returns: {redemption (JSON text), active redemptions of its user, budget (null: unlimited) and claimed of its slice, per_user_limit,
--           status}
WITH moved AS (
    UPDATE redemptions r
    SET state = $3,
        redeemed_at = CASE WHEN $3 = 'redeemed' THEN $5::timestamptz ELSE redeemed_at END,
        released_at = CASE WHEN $3 = 'released' THEN $5::timestamptz END,
        released_reason = $4
    WHERE r.redemption_id = $1 AND r.state = $2
    RETURNING r.*
), slice AS (
    UPDATE campaign_slices s
    SET claimed = s.claimed - (moved.released_at IS NOT NULL)::integer,
        freed_at = CASE WHEN moved.released_at IS NOT NULL THEN clock_timestamp() ELSE s.freed_at END
    FROM moved
    WHERE s.campaign_id = moved.campaign_id AND s.slice_no = moved.slice_no
    RETURNING s.campaign_id, s.budget, s.claimed
)
SELECT redemption_document(moved::redemptions)::text,
       -- The snapshot still shows this one as active.
       (SELECT count(*) FROM redemptions h
        WHERE h.campaign_id = moved.campaign_id AND h.user_id = moved.user_id AND h.released_at IS NULL)
           - (moved.released_at IS NOT NULL)::integer AS active,
       slice.budget, slice.claimed, c.per_user_limit, c.status
FROM moved
JOIN slice USING (campaign_id)
JOIN campaigns c USING (campaign_id)
