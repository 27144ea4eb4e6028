-- purpose: forget the attempts of months long past
-- takes: $1 how many months before the running one are kept
-- returns: {name} of each table that is gone
SELECT drop_attempt_months($1) AS name
