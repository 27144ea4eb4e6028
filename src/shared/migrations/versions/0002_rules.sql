-- purpose: what the rules of redemption need: code patterns, holds, money, limits per period, stacking, audience

-- A pool may have a public code, a campaign of unique codes has none. Exact: codes are told apart by their spelling as well.
ALTER TABLE campaigns
    ALTER COLUMN code DROP NOT NULL,
    ADD COLUMN exact            boolean NOT NULL DEFAULT false,
    ADD COLUMN minted           bigint NOT NULL DEFAULT 0 CHECK (minted >= 0),
    ADD COLUMN per_day_limit    integer CHECK (per_day_limit >= 1),
    ADD COLUMN per_week_limit   integer CHECK (per_week_limit >= 1),
    ADD COLUMN per_month_limit  integer CHECK (per_month_limit >= 1),
    ADD COLUMN amount_limit     bigint CHECK (amount_limit >= 0),
    ADD COLUMN minimum_subtotal bigint CHECK (minimum_subtotal >= 0),
    ADD COLUMN first_order_only boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT shared_has_its_code CHECK (type <> 'shared' OR code IS NOT NULL),
    ADD CONSTRAINT unique_has_no_code CHECK (type <> 'unique' OR code IS NULL);
CREATE INDEX campaigns_that_stack_by_rules ON campaigns (campaign_id) WHERE stacking_rules IS NOT NULL;

-- spelling: as the code was made, where the campaign is exact; null where upper and lower case are one.
ALTER TABLE codes ADD COLUMN spelling text;
-- All that is asked of a code is in its index: among millions, its row would be one more place that no cache holds.
ALTER TABLE codes DROP CONSTRAINT codes_code_key;
CREATE UNIQUE INDEX codes_by_code ON codes (code) INCLUDE (code_id, campaign_id, state, intended_user, spelling);
CREATE INDEX codes_by_campaign ON codes (campaign_id, code_id);
CREATE INDEX free_codes ON codes (campaign_id, code_id) WHERE state = 'unused' AND intended_user IS NULL;

-- amount: what the redemption takes of the campaign's money, in minor units. single_use: its code is gone with it.
ALTER TABLE redemptions
    ADD COLUMN amount     bigint NOT NULL DEFAULT 0 CHECK (amount >= 0),
    ADD COLUMN single_use boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX one_claim_per_code ON redemptions (code_id) WHERE single_use AND released_at IS NULL;
CREATE INDEX holds_to_expire ON redemptions (hold_expires_at) WHERE state = 'claimed' AND hold_expires_at IS NOT NULL;
INSERT INTO redemption_transitions VALUES ('claimed', 'expiry', 'released');

CREATE OR REPLACE FUNCTION redemption_document(r redemptions) RETURNS json STABLE LANGUAGE sql AS $$
    SELECT json_build_object(
        'redemption_id', r.redemption_id, 'campaign_id', r.campaign_id, 'slice_no', r.slice_no, 'code_id', r.code_id,
        'code', r.code, 'user_id', r.user_id, 'use_no', r.use_no, 'user_limit', r.user_limit, 'order_id', r.order_id,
        'discount_applied', r.discount_applied, 'amount', r.amount, 'single_use', r.single_use,
        'idempotency_key', r.idempotency_key, 'body_hash', encode(r.body_hash, 'base64'), 'state', r.state,
        'claimed_at', r.claimed_at, 'hold_expires_at', r.hold_expires_at, 'redeemed_at', r.redeemed_at,
        'released_at', r.released_at, 'released_reason', r.released_reason)
$$;

-- A campaign as the engine reads it everywhere (shared.domain.campaign.Campaign, field for field).
CREATE FUNCTION campaign_document(c campaigns) RETURNS json STABLE LANGUAGE sql AS $$
    SELECT json_build_object(
        'campaign_id', c.campaign_id, 'name', c.name, 'type', c.type, 'code', c.code, 'exact', c.exact, 'discount', c.discount,
        'total_limit', c.total_limit, 'minted', c.minted, 'per_user_limit', c.per_user_limit, 'per_day_limit', c.per_day_limit,
        'per_week_limit', c.per_week_limit, 'per_month_limit', c.per_month_limit, 'amount_limit', c.amount_limit,
        'minimum_subtotal', c.minimum_subtotal, 'first_order_only', c.first_order_only, 'audience_filter', c.audience_filter,
        'stacking_rules', c.stacking_rules, 'timezone', c.timezone, 'starts_at', c.starts_at, 'ends_at', c.ends_at,
        'status', c.status, 'release_on_failure', c.release_on_failure, 'release_on_refund', c.release_on_refund,
        'hold_ttl_s', c.hold_ttl_s, 'version', c.version,
        'slices', (SELECT json_agg(json_build_object('slice_no', s.slice_no, 'partition_no', s.partition_no) ORDER BY s.slice_no)
                   FROM campaign_slices s WHERE s.campaign_id = c.campaign_id))
$$;

-- One row per order that is being claimed for while campaigns with stacking rules exist: whoever claims for an order upserts its
-- row first, so that what the order holds cannot change between being read and being added to. Only the locks matter.
CREATE UNLOGGED TABLE order_holds (
    order_id text PRIMARY KEY,
    at       timestamptz NOT NULL
);

-- since: from when on a user belongs to the segment, where the list says so. A segment without a name was deleted: nobody belongs
-- to it, and its members, who may be millions, are still to be cleared away.
CREATE TABLE segments (
    segment_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text UNIQUE,
    loaded_at  timestamptz NOT NULL,
    members    bigint NOT NULL
);
CREATE INDEX segments_deleted ON segments (segment_no) WHERE name IS NULL;
CREATE TABLE segment_members (
    user_id    text NOT NULL,
    segment_no bigint NOT NULL REFERENCES segments,
    since      date,
    PRIMARY KEY (user_id, segment_no)
);
CREATE INDEX members_by_segment ON segment_members (segment_no);

-- What calls of administrators with an Idempotency-Key were answered (see shared.answered). Kept for ever, as codes are.
CREATE TABLE answered_calls (
    call_id   uuid PRIMARY KEY,
    body_hash bytea NOT NULL,
    answer    text NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where a redemption's row of some moment is in its partition's ledger. An index would cost every claim; but rows come in the order
-- of the clock, which stood at `moment` when the lock was granted under which the row was written. Null: it is not there, because
-- the clock was set back, or the slice has moved.
CREATE FUNCTION ledger_seq(partition smallint, subject uuid, told text, moment timestamptz) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
DECLARE
    low    bigint := 1;
    high   bigint := (SELECT last_seq FROM partitions WHERE partition_no = partition);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high) / 2;
        IF (SELECT at < moment FROM ledger WHERE partition_no = partition AND seq = middle) THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN (
        SELECT seq
        FROM (SELECT * FROM ledger WHERE partition_no = partition AND seq >= low ORDER BY seq LIMIT 5000) AS batch
        WHERE redemption_id = subject AND kind = told
        LIMIT 1
    );
END $$;

-- What a ledger row without a redemption of its own names. Few are written: most of those who lose are told so by the gate.
CREATE FUNCTION names_told(payload text) RETURNS text[] IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN payload IS JSON OBJECT THEN array_remove(ARRAY[
        payload::json ->> 'order_id', payload::json ->> 'user_id', payload::json ->> 'code', payload::json #>> '{campaign,code}'
    ], NULL) ELSE '{}' END
$$;
CREATE INDEX ledger_by_names_told ON ledger USING gin (names_told(payload))
    WHERE kind NOT IN ('claimed', 'redeemed', 'released');
