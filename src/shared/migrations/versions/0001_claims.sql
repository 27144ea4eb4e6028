-- purpose: the tables of the claim engine, as the first version ships them
-- No foreign keys from redemptions to campaigns or codes: campaigns and codes are never deleted, and each such key would take
-- a share lock on one hot row for every claim.

CREATE SEQUENCE campaign_versions;

CREATE TABLE campaigns (
    campaign_id        uuid PRIMARY KEY,
    name               text NOT NULL,
    type               text NOT NULL CHECK (type IN ('shared', 'unique', 'pool')),
    code               text NOT NULL,
    discount           jsonb NOT NULL,
    total_limit        bigint CHECK (total_limit >= 0),
    per_user_limit     integer NOT NULL CHECK (per_user_limit >= 1),
    audience_filter    jsonb,
    stacking_rules     jsonb,
    starts_at          timestamptz,
    ends_at            timestamptz,
    timezone           text NOT NULL,
    status             text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'ended')),
    release_on_failure boolean NOT NULL DEFAULT false,
    release_on_refund  boolean NOT NULL DEFAULT false,
    hold_ttl_s         integer CHECK (hold_ttl_s > 0),
    home_region        text,
    version            bigint NOT NULL DEFAULT nextval('campaign_versions'),
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (starts_at < ends_at)
);

CREATE TABLE codes (
    code_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id   uuid NOT NULL,
    code          text COLLATE "C" NOT NULL UNIQUE,
    intended_user text,
    state         text NOT NULL DEFAULT 'unused' CHECK (state IN ('shared', 'unused', 'claimed')),
    claimed_by    text,
    claimed_at    timestamptz,
    expires_at    timestamptz
);

CREATE TABLE partitions (
    partition_no smallint PRIMARY KEY,
    owner        text,
    epoch        bigint NOT NULL DEFAULT 0,
    lease_until  timestamptz NOT NULL DEFAULT '-infinity',
    incarnation  text,
    cursor       text NOT NULL DEFAULT '0-0',
    last_seq     bigint NOT NULL DEFAULT 0,
    chain_head   bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(chain_head) = 32)
);
INSERT INTO partitions (partition_no) SELECT generate_series(0, 15);

CREATE TABLE shards (
    shard_id   text PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_until timestamptz NOT NULL
);

-- freed_at: when a slot was last given back (release, raised limit, resumed campaign). The owner looks for these by itself:
-- whoever gave it back may be gone before the gate is told.
CREATE TABLE campaign_slices (
    campaign_id    uuid NOT NULL REFERENCES campaigns,
    slice_no       integer NOT NULL,
    partition_no   smallint NOT NULL REFERENCES partitions,
    budget         bigint CHECK (budget >= 0),
    claimed        bigint NOT NULL DEFAULT 0 CHECK (claimed >= 0),
    amount_budget  bigint CHECK (amount_budget >= 0),
    amount_claimed bigint NOT NULL DEFAULT 0 CHECK (amount_claimed >= 0),
    freed_at       timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (campaign_id, slice_no),
    CONSTRAINT no_over_issue CHECK (claimed <= budget),
    CONSTRAINT no_overspend CHECK (amount_claimed <= amount_budget)
) WITH (fillfactor = 50);
CREATE INDEX slices_by_freed_at ON campaign_slices (partition_no, freed_at);

CREATE TABLE redemptions (
    redemption_id    uuid PRIMARY KEY,
    campaign_id      uuid NOT NULL,
    slice_no         integer NOT NULL,
    code_id          bigint NOT NULL,
    code             text NOT NULL,
    user_id          text NOT NULL,
    use_no           integer NOT NULL,
    user_limit       integer NOT NULL,
    order_id         text NOT NULL,
    discount_applied jsonb NOT NULL,
    idempotency_key  text NOT NULL,
    body_hash        bytea NOT NULL,
    state            text NOT NULL,
    claimed_at       timestamptz NOT NULL,
    hold_expires_at  timestamptz,
    redeemed_at      timestamptz,
    released_at      timestamptz,
    released_reason  text,
    CONSTRAINT use_within_limit CHECK (use_no BETWEEN 1 AND user_limit),
    -- The states of shared.domain.redemption, and what each of them means for the row.
    CONSTRAINT state_is_whole CHECK (
        (state = 'claimed' AND redeemed_at IS NULL AND released_at IS NULL AND released_reason IS NULL)
        OR (state = 'redeemed' AND redeemed_at IS NOT NULL AND released_at IS NULL AND released_reason IS NULL)
        OR (state = 'released' AND released_at IS NOT NULL AND released_reason IS NOT NULL)
    )
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX one_claim_per_use ON redemptions (campaign_id, user_id, use_no) WHERE released_at IS NULL;
CREATE INDEX released_by_campaign ON redemptions (campaign_id, user_id) WHERE released_at IS NOT NULL;
CREATE INDEX redemptions_by_order ON redemptions (order_id);

-- A redemption as the engine reads it everywhere (shared.domain.redemption.Redemption, field for field).
CREATE FUNCTION redemption_document(r redemptions) RETURNS json STABLE LANGUAGE sql AS $$
    SELECT json_build_object(
        'redemption_id', r.redemption_id, 'campaign_id', r.campaign_id, 'slice_no', r.slice_no, 'code_id', r.code_id,
        'code', r.code, 'user_id', r.user_id, 'use_no', r.use_no, 'user_limit', r.user_limit, 'order_id', r.order_id,
        'discount_applied', r.discount_applied, 'idempotency_key', r.idempotency_key,
        'body_hash', encode(r.body_hash, 'base64'), 'state', r.state, 'claimed_at', r.claimed_at,
        'redeemed_at', r.redeemed_at, 'released_at', r.released_at, 'released_reason', r.released_reason)
$$;

-- The table of shared.domain.redemption.TRANSITIONS, row for row; a test holds the two together.
CREATE TABLE redemption_transitions (
    from_state text NOT NULL,
    step       text NOT NULL,
    to_state   text NOT NULL,
    PRIMARY KEY (from_state, step)
);
INSERT INTO redemption_transitions VALUES
    ('claimed', 'confirm', 'redeemed'),
    ('claimed', 'failure', 'released'),
    ('redeemed', 'refund', 'released');

CREATE FUNCTION refuse_unknown_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM redemption_transitions t
        WHERE t.from_state = OLD.state AND t.to_state = NEW.state
          AND (NEW.released_reason IS NULL OR t.step = NEW.released_reason)
    ) THEN
        RAISE EXCEPTION 'no transition from % to % (%)', OLD.state, NEW.state, NEW.released_reason USING ERRCODE = '23514';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER known_transitions BEFORE UPDATE OF state ON redemptions
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION refuse_unknown_transition();

CREATE TABLE ledger (
    partition_no  smallint NOT NULL,
    seq           bigint NOT NULL,
    kind          text NOT NULL,
    redemption_id uuid,
    payload       text NOT NULL,
    prev_hash     bytea NOT NULL,
    hash          bytea NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition_no, seq)
);
CREATE INDEX refusals_by_claim ON ledger (redemption_id, partition_no, seq) WHERE kind IN ('refused', 'dead_lettered');

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = '23514';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

CREATE TABLE dead_letters (
    partition_no smallint NOT NULL,
    incarnation  text NOT NULL,
    entry_id     text NOT NULL,
    claim_id     uuid,
    entry        bytea NOT NULL,
    error        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (partition_no, incarnation, entry_id)
);
