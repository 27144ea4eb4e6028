-- purpose: drop the rows of front doors that went without a word
-- takes: $1 for how many seconds they must not have been seen
DELETE FROM doors WHERE seen_until < clock_timestamp() - make_interval(secs => $1)
