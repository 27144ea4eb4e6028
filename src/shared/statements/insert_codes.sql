-- purpose: put single-use codes into a campaign, but for those that exist already, whoever's they are
-- takes: $1 campaign_id, $2 codes in normal form, $3 their spellings or nulls, $4 the users they are for or nulls
-- returns: {intended_user, shown} for each that was new, shown being how the code is written
INSERT INTO codes (campaign_id, code, spelling, intended_user)
SELECT $1, made.* FROM unnest($2::text[], $3::text[], $4::text[]) AS made
ON CONFLICT (code) DO NOTHING
RETURNING intended_user, coalesce(spelling, code) AS shown
