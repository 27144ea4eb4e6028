-- purpose: all that a batch of claims is decided on, in one round trip
-- takes: $1 claim ids, $2 campaign ids and $3 users of the claims (pairwise), $4 partitions, $5 codes asked for, each once
-- returns: one row of JSON texts: redemptions known by those ids, slices with their siblings and their campaigns' terms, uses
--          taken by those users, the codes, free codes of pools with a public code (one more than the claims can take, and a
--          hundred where some may not go with an order); whether any campaign has stacking rules, and whether any of those may
--          still give something
-- OFFSET 0 keeps each look-up a look-up: joined, a plan made while the table was small would read all of it, for every batch.
SELECT
    (
        SELECT json_agg(known.document)
        FROM unnest($1::uuid[]) AS asked (redemption_id)
        CROSS JOIN LATERAL (
            SELECT redemption_document(r) AS document FROM redemptions r WHERE r.redemption_id = asked.redemption_id OFFSET 0
        ) known
    )::text AS redemptions,
    (
        SELECT json_agg(json_build_object(
            'campaign_id', s.campaign_id, 'slice_no', s.slice_no, 'partition_no', s.partition_no, 'budget', s.budget,
            'claimed', s.claimed,
            'amount_budget', s.amount_budget, 'amount_claimed', s.amount_claimed, 'type', c.type, 'code', c.code,
            'status', c.status, 'timezone', c.timezone, 'starts_at', c.starts_at, 'ends_at', c.ends_at,
            'per_user_limit', c.per_user_limit, 'per_day_limit', c.per_day_limit, 'per_week_limit', c.per_week_limit,
            'per_month_limit', c.per_month_limit, 'minimum_subtotal', c.minimum_subtotal,
            'stacking_rules', c.stacking_rules, 'hold_ttl_s', c.hold_ttl_s, 'discount', c.discount, 'layout', s.layout,
            'held', s.held_at IS NOT NULL, 'siblings', coalesce(others.siblings, '[]')))
        FROM campaign_slices s
        JOIN campaigns c USING (campaign_id)
        CROSS JOIN LATERAL (
            SELECT json_agg(json_build_object(
                'slice_no', o.slice_no, 'partition_no', o.partition_no, 'budget', o.budget, 'claimed', o.claimed,
                'amount_budget', o.amount_budget, 'amount_claimed', o.amount_claimed) ORDER BY o.slice_no) AS siblings
            FROM campaign_slices o
            WHERE o.campaign_id = s.campaign_id AND o.slice_no <> s.slice_no
        ) others
        WHERE s.partition_no = ANY ($4::smallint[]) AND s.campaign_id = ANY ($2::uuid[])
    )::text AS slices,
    (
        SELECT json_agg(json_build_array(asked.campaign_id, asked.user_id, held.document))
        FROM (SELECT DISTINCT * FROM unnest($2::uuid[], $3::text[]) AS pairs (campaign_id, user_id)) asked
        CROSS JOIN LATERAL (
            SELECT json_build_object(
                'use_no', r.use_no, 'claimed_at', r.claimed_at,
                'hold', CASE WHEN r.state = 'claimed' AND r.hold_expires_at IS NOT NULL THEN redemption_document(r) END
            ) AS document
            FROM redemptions r
            WHERE r.campaign_id = asked.campaign_id AND r.user_id = asked.user_id AND r.released_at IS NULL OFFSET 0
        ) held
    )::text AS uses,
    (
        SELECT json_agg(known.document)
        FROM unnest($5::text[]) AS asked (code)
        CROSS JOIN LATERAL (
            SELECT json_build_object('code_id', k.code_id, 'code', k.code, 'campaign_id', k.campaign_id, 'state', k.state,
                                     'intended_user', k.intended_user, 'spelling', k.spelling) AS document
            FROM codes k WHERE k.code = asked.code OFFSET 0
        ) known
    )::text AS codes,
    (
        SELECT json_agg(free.document ORDER BY free.code_id)
        FROM (SELECT campaign_id, count(*) AS claims FROM unnest($2::uuid[]) AS asked (campaign_id) GROUP BY campaign_id) asked
        CROSS JOIN LATERAL (
            SELECT FROM campaigns c
            WHERE c.campaign_id = asked.campaign_id AND c.type = 'pool' AND c.code IS NOT NULL OFFSET 0
        ) pool
        CROSS JOIN LATERAL (
            SELECT k.code_id,
                   json_build_object('code_id', k.code_id, 'code', k.code, 'campaign_id', k.campaign_id, 'state', k.state,
                                     'intended_user', k.intended_user, 'spelling', k.spelling) AS document
            FROM codes k
            WHERE k.campaign_id = asked.campaign_id AND k.state = 'unused' AND k.intended_user IS NULL
            ORDER BY k.code_id
            LIMIT asked.claims + CASE WHEN EXISTS (SELECT FROM campaigns WHERE stacking_rules IS NOT NULL) THEN 100 ELSE 1 END
        ) free
    )::text AS free_codes,
    EXISTS (SELECT FROM campaigns WHERE stacking_rules IS NOT NULL) AS ruled,
    -- A minute after its end no other partition's batch is under way that began before it.
    EXISTS (
        SELECT FROM campaigns
        WHERE stacking_rules IS NOT NULL AND status <> 'ended'
          AND coalesce(ends_at, 'infinity'::timestamptz) > (SELECT clock_timestamp() - interval '1 minute')
    ) AS stacks
