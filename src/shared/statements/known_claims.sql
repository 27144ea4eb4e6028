-- purpose: what is committed about claims, for a front door that was told to look
-- takes: $1 claim ids, $2 campaign ids, $3 users (pairwise)
-- returns: for each claim asked for: {claim_id, campaign_id, user_id, redemption (JSON text or null), active redemptions}
SELECT asked.*,
       (SELECT redemption_document(r) FROM redemptions r WHERE r.redemption_id = asked.claim_id)::text AS redemption,
       (SELECT count(*) FROM redemptions h
        WHERE h.campaign_id = asked.campaign_id AND h.user_id = asked.user_id AND h.released_at IS NULL) AS active
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS asked (claim_id, campaign_id, user_id)
