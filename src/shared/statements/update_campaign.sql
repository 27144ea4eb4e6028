-- purpose: write a campaign's new terms and its slices' budgets; slots it frees are stamped, for the owners to find them by
--          themselves (freed_lately.sql), should nobody come to tell the gate; a pause by the velocity guard ends with an
--          active campaign
-- takes: $1 the campaign as a document (shared.domain.campaign.Campaign), $2 whether slots are freed; then of its slices,
--        pairwise: $3 their numbers, $4 their partitions, $5 their budgets or null, $6 their amount budgets or null
-- returns: {version}; no row when a slice does not live in that partition
WITH given AS (
    SELECT * FROM jsonb_populate_record(NULL::campaigns, $1::jsonb)
), slices AS (
    UPDATE campaign_slices s
    SET budget = part.budget, amount_budget = part.amount_budget,
        freed_at = CASE WHEN $2 THEN clock_timestamp() ELSE s.freed_at END
    FROM given, unnest($3::integer[], $4::smallint[], $5::bigint[], $6::bigint[])
        AS part (slice_no, partition_no, budget, amount_budget)
    WHERE s.campaign_id = given.campaign_id AND s.slice_no = part.slice_no AND s.partition_no = part.partition_no
    RETURNING s.slice_no
), resumed AS (
    UPDATE guard_pauses p
    SET resumed_at = clock_timestamp()
    FROM given
    WHERE p.campaign_id = given.campaign_id AND p.resumed_at IS NULL AND given.status = 'active'
)
UPDATE campaigns c
SET name = given.name, discount = given.discount, total_limit = given.total_limit, minted = given.minted,
    per_user_limit = given.per_user_limit, per_day_limit = given.per_day_limit, per_week_limit = given.per_week_limit,
    per_month_limit = given.per_month_limit, amount_limit = given.amount_limit, minimum_subtotal = given.minimum_subtotal,
    first_order_only = given.first_order_only, audience_filter = given.audience_filter,
    stacking_rules = given.stacking_rules, starts_at = given.starts_at, ends_at = given.ends_at, status = given.status,
    release_on_failure = given.release_on_failure, release_on_refund = given.release_on_refund,
    hold_ttl_s = given.hold_ttl_s, version = nextval('campaign_versions')
FROM given
WHERE c.campaign_id = given.campaign_id AND (SELECT count(*) FROM slices) = cardinality($3::integer[])
RETURNING c.version
