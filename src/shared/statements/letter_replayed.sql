-- purpose: note that a dead letter was decided again
-- takes: $1 letter_no, $2 by whom, $3 what it came to
UPDATE dead_letters SET replayed_at = clock_timestamp(), dealt_by = $2, outcome = $3 WHERE letter_no = $1
