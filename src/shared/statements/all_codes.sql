-- purpose: every code, in any order
-- returns: {code}
SELECT code FROM codes
