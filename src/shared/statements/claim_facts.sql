-- purpose: all that a batch of claims is decided on, in one round trip
-- takes: $1 claim ids, $2 campaign ids and $3 users of the claims (pairwise), $4 partition_no
-- returns: one row of JSON texts: redemptions known by those ids, slices with their campaigns' terms, uses taken by those users
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
            'campaign_id', s.campaign_id, 'slice_no', s.slice_no, 'budget', s.budget, 'claimed', s.claimed,
            'status', c.status, 'starts_at', c.starts_at, 'ends_at', c.ends_at,
            'per_user_limit', c.per_user_limit, 'discount', c.discount, 'code_id', k.code_id))
        FROM campaign_slices s
        JOIN campaigns c USING (campaign_id)
        JOIN codes k ON k.code = c.code
        WHERE s.partition_no = $4 AND s.campaign_id = ANY ($2::uuid[])
    )::text AS slices,
    (
        SELECT json_agg(json_build_array(asked.campaign_id, asked.user_id, held.use_no))
        FROM (SELECT DISTINCT * FROM unnest($2::uuid[], $3::text[]) AS pairs (campaign_id, user_id)) asked
        CROSS JOIN LATERAL (
            SELECT r.use_no FROM redemptions r
            WHERE r.campaign_id = asked.campaign_id AND r.user_id = asked.user_id AND r.released_at IS NULL OFFSET 0
        ) held
    )::text AS uses
