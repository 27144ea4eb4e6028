-- purpose: campaigns that are cut into slices, and move, while they run

-- layout: the version of the campaign that cut its slices so and put them there; a gate of another layout is not believed.
-- held_at: since when nobody is let in, because slices are about to move; who moves them must find the moment that he wrote.
ALTER TABLE campaign_slices
    ADD COLUMN layout  bigint NOT NULL DEFAULT 0,
    ADD COLUMN held_at timestamptz,
    ADD CONSTRAINT one_slice_per_partition UNIQUE (campaign_id, partition_no);

-- What is free in one slice is free for all: the owners of the others look for it, too.
DROP INDEX slices_by_freed_at;
CREATE INDEX slices_by_freed_at ON campaign_slices (freed_at);

-- Which of a campaign's slices serves a user (shared.domain.slices.slice_of; a test holds the two together).
CREATE FUNCTION slice_of(user_id text, slices bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN slices = 1 THEN 0 ELSE ('x' || left(md5(user_id), 8))::bit(32)::bigint % slices END
$$;

-- The slices of a campaign make what there is of it: of slots by its limit and, of single-use codes, by how many were minted; of
-- money by its limit. Judged at COMMIT, for budget leaves one slice before it comes to another.
CREATE FUNCTION refuse_budgets_that_miss() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.campaign_id ELSE NEW.campaign_id END;
BEGIN
    IF EXISTS (
        SELECT FROM campaigns c
        CROSS JOIN LATERAL (
            SELECT CASE c.type WHEN 'shared' THEN c.total_limit ELSE least(c.total_limit, c.minted) END AS slots
        ) AS given
        CROSS JOIN LATERAL (
            SELECT count(*) AS slices, count(s.budget) AS bounded, sum(s.budget) AS budget,
                   count(s.amount_budget) AS amount_bounded, sum(s.amount_budget) AS amount_budget
            FROM campaign_slices s
            WHERE s.campaign_id = c.campaign_id
        ) AS held
        WHERE c.campaign_id = subject
          AND (bounded <> CASE WHEN slots IS NULL THEN 0 ELSE slices END
               OR budget IS DISTINCT FROM slots
               OR amount_bounded <> CASE WHEN c.amount_limit IS NULL THEN 0 ELSE slices END
               OR amount_budget IS DISTINCT FROM c.amount_limit)
    ) THEN
        RAISE EXCEPTION 'the budgets of campaign % do not make its limits', subject USING ERRCODE = '23514';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER budgets_make_the_limit AFTER INSERT OR DELETE ON campaign_slices
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_budgets_that_miss();
CREATE CONSTRAINT TRIGGER moved_budgets_make_the_limit AFTER UPDATE OF budget, amount_budget ON campaign_slices
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.budget IS DISTINCT FROM NEW.budget OR OLD.amount_budget IS DISTINCT FROM NEW.amount_budget)
    EXECUTE FUNCTION refuse_budgets_that_miss();
CREATE CONSTRAINT TRIGGER limits_are_made_by_budgets AFTER UPDATE OF total_limit, minted, amount_limit ON campaigns
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.total_limit IS DISTINCT FROM NEW.total_limit OR OLD.minted IS DISTINCT FROM NEW.minted
          OR OLD.amount_limit IS DISTINCT FROM NEW.amount_limit)
    EXECUTE FUNCTION refuse_budgets_that_miss();

CREATE OR REPLACE FUNCTION campaign_document(c campaigns) RETURNS json STABLE LANGUAGE sql AS $$
    SELECT json_build_object(
        'campaign_id', c.campaign_id, 'name', c.name, 'type', c.type, 'code', c.code, 'exact', c.exact, 'discount', c.discount,
        'total_limit', c.total_limit, 'minted', c.minted, 'per_user_limit', c.per_user_limit, 'per_day_limit', c.per_day_limit,
        'per_week_limit', c.per_week_limit, 'per_month_limit', c.per_month_limit, 'amount_limit', c.amount_limit,
        'minimum_subtotal', c.minimum_subtotal, 'first_order_only', c.first_order_only, 'audience_filter', c.audience_filter,
        'stacking_rules', c.stacking_rules, 'timezone', c.timezone, 'starts_at', c.starts_at, 'ends_at', c.ends_at,
        'status', c.status, 'release_on_failure', c.release_on_failure, 'release_on_refund', c.release_on_refund,
        'hold_ttl_s', c.hold_ttl_s, 'version', c.version,
        'slices', (SELECT json_agg(json_build_object('slice_no', s.slice_no, 'partition_no', s.partition_no, 'layout', s.layout)
                                   ORDER BY s.slice_no)
                   FROM campaign_slices s WHERE s.campaign_id = c.campaign_id))
$$;
