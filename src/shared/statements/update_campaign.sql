-- purpose: write a campaign's new terms and its slice's budget; slots it frees are stamped, for they may not be given out at once
-- takes: $1 campaign_id, $2 name, $3 discount, $4 total_limit, $5 per_user_limit, $6 starts_at, $7 ends_at, $8 status,
--        $9 release_on_failure, $10 release_on_refund, $11 partition_no of the slice, $12 whether slots are freed
-- returns: {version}; no row when the slice does not live in that partition
WITH slice AS (
    UPDATE campaign_slices
    SET budget = $4, freed_at = CASE WHEN $12 THEN clock_timestamp() ELSE freed_at END
    WHERE campaign_id = $1 AND slice_no = 0 AND partition_no = $11
    RETURNING campaign_id
)
UPDATE campaigns
SET name = $2, discount = $3, total_limit = $4, per_user_limit = $5, starts_at = $6, ends_at = $7, status = $8,
    release_on_failure = $9, release_on_refund = $10, version = nextval('campaign_versions')
FROM slice
WHERE campaigns.campaign_id = slice.campaign_id
RETURNING version
