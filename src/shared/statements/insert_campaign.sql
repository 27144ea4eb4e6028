-- purpose: create a campaign, its code and its one slice, if nobody ever had the code
-- takes: $1 campaign_id, $2 name, $3 type, $4 code, $5 discount, $6 total_limit, $7 per_user_limit, $8 timezone, $9 starts_at,
--        $10 ends_at, $11 status, $12 release_on_failure, $13 release_on_refund, $14 partition_no of the slice
-- returns: {version}; no row when the code is taken
WITH code AS (
    INSERT INTO codes (campaign_id, code, state) VALUES ($1, $4, 'shared')
    ON CONFLICT (code) DO NOTHING
    RETURNING campaign_id
), campaign AS (
    INSERT INTO campaigns (campaign_id, name, type, code, discount, total_limit, per_user_limit, timezone, starts_at, ends_at,
                           status, release_on_failure, release_on_refund, version)
    SELECT campaign_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, nextval('campaign_versions') FROM code
    RETURNING campaign_id, version
), slice AS (
    INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget)
    SELECT campaign_id, 0, $14, $6 FROM campaign
)
SELECT version FROM campaign
