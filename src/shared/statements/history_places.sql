-- purpose: where the ledger tells of the redemptions of an order, a user or a single-use code
-- takes: $1 the name as an order or a user has it, $2 as a code has it (normal form, or null)
-- returns: {redemption_id, partition_no, seq} for each step of each redemption, seq null where it cannot be told
WITH code AS (
    SELECT campaign_id, code_id FROM codes WHERE code = $2 AND state <> 'shared'
), named AS (
    SELECT redemption_id FROM redemptions WHERE order_id = $1
    UNION
    SELECT held.redemption_id
    FROM campaigns c
    CROSS JOIN LATERAL (
        SELECT redemption_id FROM redemptions r
        WHERE r.campaign_id = c.campaign_id AND r.user_id = $1 AND r.released_at IS NULL OFFSET 0
    ) AS held
    UNION
    SELECT given_back.redemption_id
    FROM campaigns c
    CROSS JOIN LATERAL (
        SELECT redemption_id FROM redemptions r
        WHERE r.campaign_id = c.campaign_id AND r.user_id = $1 AND r.released_at IS NOT NULL OFFSET 0
    ) AS given_back
    UNION
    SELECT held.redemption_id
    FROM code
    CROSS JOIN LATERAL (
        SELECT redemption_id FROM redemptions r
        WHERE r.code_id = code.code_id AND r.single_use AND r.released_at IS NULL OFFSET 0
    ) AS held
    UNION
    SELECT given_back.redemption_id
    FROM code
    CROSS JOIN LATERAL (
        SELECT redemption_id FROM redemptions r
        WHERE r.campaign_id = code.campaign_id AND r.code_id = code.code_id AND r.released_at IS NOT NULL OFFSET 0
    ) AS given_back
)
SELECT r.redemption_id, s.partition_no, ledger_seq(s.partition_no, r.redemption_id, step.kind, step.moment) AS seq
FROM named
CROSS JOIN LATERAL (SELECT * FROM redemptions r WHERE r.redemption_id = named.redemption_id OFFSET 0) AS r
JOIN campaign_slices s USING (campaign_id, slice_no)
CROSS JOIN LATERAL (
    VALUES ('claimed', r.claimed_at), ('redeemed', r.redeemed_at), ('released', r.released_at)
) AS step (kind, moment)
WHERE step.moment IS NOT NULL
