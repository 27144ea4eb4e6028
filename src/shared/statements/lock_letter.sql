-- purpose: be the only one to deal with a dead letter until the end of the transaction
-- takes: $1 letter_no
-- returns: the letter's number, or no row when it does not wait any more
SELECT letter_no FROM dead_letters
WHERE letter_no = $1 AND replayed_at IS NULL AND discarded_at IS NULL
FOR UPDATE
