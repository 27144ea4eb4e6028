-- purpose: a log of the codes that are added, and which front door has read how far

-- Each row says that codes of these ids were added, and maybe others between them. mark: random, so that whoever has read up to
-- a position can tell whether this is still the log that was read: a database that was restored gives positions out again.
CREATE TABLE code_log (
    position      bigint PRIMARY KEY,
    mark          uuid NOT NULL DEFAULT gen_random_uuid(),
    first_code_id bigint NOT NULL,
    last_code_id  bigint NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (first_code_id <= last_code_id)
);
INSERT INTO code_log (position, first_code_id, last_code_id) SELECT 0, 0, coalesce(max(code_id), 0) FROM codes;

-- Its one row is locked from the first code that a transaction adds until it ends: positions are seen in their order, without gaps.
CREATE TABLE code_log_head (
    alone    boolean PRIMARY KEY DEFAULT true CHECK (alone),
    position bigint NOT NULL
);
INSERT INTO code_log_head (position) VALUES (0);

-- A trigger, so that no way of adding codes can leave them out.
CREATE FUNCTION log_codes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lowest  bigint;
    highest bigint;
    reached bigint;
BEGIN
    SELECT min(code_id), max(code_id) INTO lowest, highest FROM added;
    IF lowest IS NOT NULL THEN
        UPDATE code_log_head SET position = position + 1 WHERE alone RETURNING position INTO reached;
        INSERT INTO code_log (position, first_code_id, last_code_id) VALUES (reached, lowest, highest);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER logged AFTER INSERT ON codes REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION log_codes();

-- Front doors that answer for codes which do not exist. Until seen_until, codes are not reported as added before such a door has
-- read of them.
CREATE TABLE doors (
    door_id       text PRIMARY KEY,
    code_position bigint NOT NULL,
    seen_until    timestamptz NOT NULL
) WITH (fillfactor = 50);
