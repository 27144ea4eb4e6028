-- purpose: what typed codes are, whatever has become of them: nothing that is told here ever changes
-- takes: $1 codes in normal form
-- returns: {code, code_id, campaign_id, single_use, intended_user, spelling} for each that exists
SELECT code, code_id, campaign_id, state <> 'shared' AS single_use, intended_user, spelling
FROM codes
WHERE code = ANY ($1::text[])
