-- purpose: have tables of attempts for the running month and those after it
-- takes: $1 how many after it
SELECT make_attempt_months($1)
