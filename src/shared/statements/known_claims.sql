-- purpose: what is committed about claims, for a front door that was told to look
-- takes: $1 claim ids, $2 campaign ids, $3 users (pairwise)
-- returns: for each claim asked for: {claim_id, campaign_id, user_id, redemption (JSON text or null), active redemptions,
--          hold (JSON text or null), whether any is overdue, now}; hold: one of the user's active redemptions that can still be
--          confirmed. One that cannot any more, overdue, is not active, though its slot has not been given back yet
SELECT asked.*,
       (SELECT redemption_document(r) FROM redemptions r WHERE r.redemption_id = asked.claim_id)::text AS redemption,
       held.active, held.hold, held.overdue, clock_timestamp() AS now
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS asked (claim_id, campaign_id, user_id)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE NOT use.overdue) AS active, min(use.hold) FILTER (WHERE NOT use.overdue) AS hold,
           coalesce(bool_or(use.overdue), false) AS overdue
    FROM (
        SELECT h.state = 'claimed' AND h.hold_expires_at IS NOT NULL AND h.hold_expires_at <= clock_timestamp() AS overdue,
               CASE WHEN h.state = 'claimed' AND h.hold_expires_at IS NOT NULL THEN redemption_document(h)::text END AS hold
        FROM redemptions h
        WHERE h.campaign_id = asked.campaign_id AND h.user_id = asked.user_id AND h.released_at IS NULL OFFSET 0
    ) use
) held
