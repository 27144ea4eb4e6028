-- purpose: create a campaign, its code (if it has one) and its one slice, if nobody ever had the code
-- takes: $1 the campaign as a document (shared.domain.campaign.Campaign), $2 its code's spelling or null,
--        $3 partition_no of the slice, $4 slots there are in all or null
-- returns: {version}; no row when the code is taken
WITH given AS (
    SELECT (jsonb_populate_record(NULL::campaigns, $1::jsonb || jsonb_build_object(
        'version', nextval('campaign_versions'), 'created_at', clock_timestamp()))).*
), code AS (
    INSERT INTO codes (campaign_id, code, spelling, state)
    SELECT campaign_id, code, $2, 'shared' FROM given WHERE code IS NOT NULL
    ON CONFLICT (code) DO NOTHING
    RETURNING code_id
), campaign AS (
    INSERT INTO campaigns
    SELECT * FROM given WHERE code IS NULL OR EXISTS (SELECT FROM code)
    RETURNING campaign_id, amount_limit, version
), slice AS (
    INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget, amount_budget)
    SELECT campaign_id, 0, $3, $4, amount_limit FROM campaign
)
SELECT version FROM campaign
