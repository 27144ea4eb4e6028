-- purpose: note that a dead letter could not be decided this time either
-- takes: $1 letter_no, $2 error
UPDATE dead_letters SET tried_at = clock_timestamp(), error = $2
WHERE letter_no = $1 AND replayed_at IS NULL AND discarded_at IS NULL
