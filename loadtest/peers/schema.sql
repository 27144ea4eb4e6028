-- What the peers keep: the tables of Lastslot that their designs need, with the same guarantees and the indexes they ask for.
CREATE TABLE campaigns (
    campaign_id uuid PRIMARY KEY,
    code        text NOT NULL UNIQUE,
    total_limit bigint NOT NULL,
    claimed     bigint NOT NULL DEFAULT 0,
    CHECK (claimed <= total_limit)
) WITH (fillfactor = 50);

CREATE TABLE redemptions (
    redemption_id    uuid PRIMARY KEY,
    campaign_id      uuid NOT NULL,
    code             text NOT NULL,
    user_id          text NOT NULL,
    order_id         text NOT NULL,
    discount_applied jsonb NOT NULL,
    idempotency_key  text NOT NULL,
    state            text NOT NULL DEFAULT 'claimed',
    claimed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (campaign_id, user_id)
);
CREATE INDEX redemptions_by_order ON redemptions (order_id);

CREATE TABLE redemption_attempts (
    attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code       text NOT NULL,
    user_id    text NOT NULL,
    result     text NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
