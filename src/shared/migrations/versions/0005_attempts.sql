-- purpose: what is kept for fraud signals: attempts by month, traffic by minute, announced launches, pauses by the velocity guard

-- One row per validate or redeem whose code could be read. result: the problem's code, or the status of what was no problem.
-- code: as typed, cut to 64 characters. By month, so that forgetting a month is dropping a table.
CREATE TABLE redemption_attempts (
    at          timestamptz NOT NULL,
    call        text NOT NULL,
    result      text NOT NULL,
    user_id     text,
    ip          text NOT NULL,
    code        text NOT NULL,
    campaign_id uuid,
    claim_id    uuid,
    door        text NOT NULL
) PARTITION BY RANGE (at);
-- Rows come nearly in the order of their times, and are read by time: a B-tree would cost more than the rows.
CREATE INDEX attempts_by_time ON redemption_attempts USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
-- Nothing is refused for want of a month.
CREATE TABLE redemption_attempts_default PARTITION OF redemption_attempts DEFAULT;

-- The running month (of UTC) and so many after it. What the default holds of a month moves into it.
CREATE FUNCTION make_attempt_months(ahead integer) RETURNS void LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    this_month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    month timestamp;
    name text;
    begins timestamptz;
    ends timestamptz;
BEGIN
    -- One at a time; writers are not in the way.
    LOCK TABLE redemption_attempts IN SHARE UPDATE EXCLUSIVE MODE;
    FOR month IN SELECT generate_series(this_month, this_month + make_interval(months => ahead), interval '1 month') LOOP
        name := to_char(month, '"redemption_attempts_"YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        begins := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        LOCK TABLE redemption_attempts_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE %I (LIKE redemption_attempts)', name);
        EXECUTE format('WITH moved AS (DELETE FROM redemption_attempts_default WHERE at >= %L AND at < %L RETURNING *)
                        INSERT INTO %I SELECT * FROM moved', begins, ends, name);
        EXECUTE format('ALTER TABLE redemption_attempts ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
    END LOOP;
END $$;

-- Forget all but the running month (of UTC) and so many before it. The names of the months that are gone.
CREATE FUNCTION drop_attempt_months(kept integer) RETURNS SETOF text LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    oldest timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') - make_interval(months => kept);
    name text;
BEGIN
    LOCK TABLE redemption_attempts IN SHARE UPDATE EXCLUSIVE MODE;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'redemption_attempts'::regclass AND c.relname ~ '^redemption_attempts_\d{4}_\d{2}$'
          AND c.relname < to_char(oldest, '"redemption_attempts_"YYYY_MM')
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        RETURN NEXT name;
    END LOOP;
    DELETE FROM redemption_attempts_default WHERE at < oldest AT TIME ZONE 'UTC';
END $$;

-- How often a campaign was asked for in a minute, whatever the answers. Added to by every front door.
CREATE TABLE campaign_traffic (
    campaign_id uuid NOT NULL,
    minute      timestamptz NOT NULL,
    attempts    bigint NOT NULL CHECK (attempts > 0),
    PRIMARY KEY (campaign_id, minute)
) WITH (fillfactor = 50);
CREATE INDEX traffic_by_minute ON campaign_traffic (minute);

-- When somebody announced that a campaign will be rushed for.
CREATE TABLE launch_windows (
    campaign_id  uuid NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    announced_by text NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (campaign_id, starts_at, ends_at),
    CHECK (starts_at < ends_at)
);

-- The velocity guard's pauses, with the numbers they were made for. resumed_at: when somebody let the campaign go on.
-- told_at: when the webhook took the alert; tries and try_at: how often it was tried, and when it is tried again.
CREATE TABLE guard_pauses (
    campaign_id uuid NOT NULL,
    paused_at   timestamptz NOT NULL,
    minute      timestamptz NOT NULL,
    attempts    bigint NOT NULL,
    baseline    double precision NOT NULL,
    factor      integer NOT NULL,
    resumed_at  timestamptz,
    told_at     timestamptz,
    tries       integer NOT NULL DEFAULT 0,
    try_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (campaign_id, paused_at)
);
CREATE INDEX guard_pauses_untold ON guard_pauses (try_at) WHERE told_at IS NULL;
