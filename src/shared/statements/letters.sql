-- purpose: dead letters, page by page
-- takes: $1 behind which number, $2 how many at most, $3 whether only those that wait
-- returns: {letter_no, partition_no, entry_id, entry, error, at, tried_at, replayed_at, discarded_at, dealt_by, outcome}
SELECT letter_no, partition_no, entry_id, entry, error, at, tried_at, replayed_at, discarded_at, dealt_by, outcome
FROM dead_letters
WHERE letter_no > $1 AND (NOT $3 OR (replayed_at IS NULL AND discarded_at IS NULL))
ORDER BY letter_no
LIMIT $2
