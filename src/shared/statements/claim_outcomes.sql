-- purpose: what became of claims, whoever asks: the redemption, else the last refusal the ledger tells of, with the hold that was
--          shown instead of it, if one was
-- takes: $1 claim ids
-- returns: {claim_id, redemption (JSON text or null), refusal kind, refusal payload}
-- Of a partition's refusals the last one is told by its sequence; the clock, which may go back, only chooses between partitions
-- (the same claim was asked of several campaigns), whose ledgers have no order among each other.
SELECT asked.claim_id,
       (SELECT redemption_document(r) FROM redemptions r WHERE r.redemption_id = coalesce(
            (SELECT own.redemption_id FROM redemptions own WHERE own.redemption_id = asked.claim_id),
            CASE WHEN refusal.kind = 'refused' THEN (refusal.payload::json ->> 'shown')::uuid END))::text AS redemption,
       refusal.kind, refusal.payload
FROM unnest($1::uuid[]) AS asked (claim_id)
LEFT JOIN LATERAL (
    SELECT kind, payload FROM (
        SELECT DISTINCT ON (partition_no) kind, payload, at FROM ledger
        WHERE redemption_id = asked.claim_id AND kind IN ('refused', 'dead_lettered')
        ORDER BY partition_no, seq DESC
    ) last
    ORDER BY at DESC LIMIT 1
) refusal ON true
