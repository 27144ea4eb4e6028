-- purpose: note that a dead letter will not be decided again
-- takes: $1 letter_no, $2 by whom, $3 why
-- returns: the letter's number, or no row when it does not wait any more
UPDATE dead_letters SET discarded_at = clock_timestamp(), dealt_by = $2, outcome = $3
WHERE letter_no = $1 AND replayed_at IS NULL AND discarded_at IS NULL
RETURNING letter_no
