-- purpose: a dead letter
-- takes: $1 letter_no
-- returns: {letter_no, partition_no, entry_id, entry, error, at, tried_at, replayed_at, discarded_at, dealt_by, outcome}
SELECT letter_no, partition_no, entry_id, entry, error, at, tried_at, replayed_at, discarded_at, dealt_by, outcome
FROM dead_letters
WHERE letter_no = $1
