-- purpose: how far the code log goes
-- returns: {position}
SELECT position FROM code_log_head WHERE alone
