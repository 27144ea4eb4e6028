-- purpose: which codes are good for one claim and have been taken
-- takes: $1 codes in normal form
-- returns: {code}
SELECT code FROM codes WHERE code = ANY ($1::text[]) AND state = 'claimed'
