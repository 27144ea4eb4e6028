-- purpose: how much there was to audit
-- returns: one row {campaigns, redemptions, users, ledger_rows}
SELECT (SELECT count(*) FROM campaigns) AS campaigns,
       (SELECT count(*) FROM redemptions) AS redemptions,
       (SELECT count(*) FROM (SELECT DISTINCT user_id FROM redemptions) AS holders) AS users,
       (SELECT count(*) FROM ledger) AS ledger_rows
