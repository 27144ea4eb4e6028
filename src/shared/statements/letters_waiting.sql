-- purpose: how many dead letters wait
-- returns: one row {waiting}
SELECT count(*) AS waiting FROM dead_letters WHERE replayed_at IS NULL AND discarded_at IS NULL
