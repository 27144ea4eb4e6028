-- purpose: what became of claims, whoever asks: the redemption, else the last refusal the ledger tells of
-- takes: $1 claim ids
-- returns: {claim_id, redemption (JSON text or null), refusal kind, refusal payload}
SELECT asked.claim_id,
       (SELECT redemption_document(r) FROM redemptions r WHERE r.redemption_id = asked.claim_id)::text AS redemption,
       refusal.kind, refusal.payload
FROM unnest($1::uuid[]) AS asked (claim_id)
LEFT JOIN LATERAL (
    SELECT kind, payload FROM ledger l
    WHERE l.redemption_id = asked.claim_id AND l.kind IN ('refused', 'dead_lettered')
    ORDER BY l.at DESC LIMIT 1
) refusal ON true
