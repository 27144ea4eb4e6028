-- purpose: cut a campaign's slices anew and put them where they are to live; whoever looks for freed slots finds them there
-- takes: $1 campaign_id, then pairwise: $2 slice numbers, $3 partitions, $4 budgets, $5 amount budgets
-- returns: {version} of the campaign, which is the layout of its slices now
WITH campaign AS (
    UPDATE campaigns SET version = nextval('campaign_versions') WHERE campaign_id = $1 RETURNING campaign_id, version
), put AS (
    INSERT INTO campaign_slices (campaign_id, slice_no, partition_no, budget, amount_budget, layout, freed_at)
    SELECT campaign.campaign_id, row.*, campaign.version, clock_timestamp()
    FROM campaign, unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bigint[]) AS row
    ON CONFLICT (campaign_id, slice_no) DO UPDATE
    SET partition_no = excluded.partition_no, budget = excluded.budget, amount_budget = excluded.amount_budget,
        layout = excluded.layout, freed_at = excluded.freed_at, held_at = NULL
)
SELECT version FROM campaign
