-- purpose: all that a batch of claims is decided on, in one round trip
-- takes: $1 claim ids, $2 campaign ids and $3 users of the claims (pairwise), $4 partition_no
-- returns: one row of JSON texts: redemptions known by those ids, slices with their campaigns' terms, uses taken by those users
SELECT
    (SELECT json_agg(redemption_document(r)) FROM redemptions r WHERE r.redemption_id = ANY ($1::uuid[]))::text AS redemptions,
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
        SELECT json_agg(json_build_array(r.campaign_id, r.user_id, r.use_no))
        FROM (SELECT DISTINCT * FROM unnest($2::uuid[], $3::text[]) AS asked (campaign_id, user_id)) holder
        JOIN redemptions r ON r.campaign_id = holder.campaign_id AND r.user_id = holder.user_id AND r.released_at IS NULL
    )::text AS uses
