-- purpose: what became of dead letters: each waits until somebody has it decided again, or discards it

-- letter_no: what people call it. outcome: what deciding it again came to, or why it was discarded. tried_at: when it was last
-- decided again in vain; `error` is then what stood in the way.
ALTER TABLE dead_letters
    ADD COLUMN letter_no    bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN tried_at     timestamptz,
    ADD COLUMN replayed_at  timestamptz,
    ADD COLUMN discarded_at timestamptz,
    ADD COLUMN dealt_by     text,
    ADD COLUMN outcome      text,
    ADD CONSTRAINT dealt_with_once CHECK (
        num_nonnulls(replayed_at, discarded_at) <= 1
        AND (num_nonnulls(replayed_at, discarded_at) = 1) = (dealt_by IS NOT NULL AND outcome IS NOT NULL)
    );
CREATE INDEX letters_waiting ON dead_letters (letter_no) WHERE replayed_at IS NULL AND discarded_at IS NULL;
