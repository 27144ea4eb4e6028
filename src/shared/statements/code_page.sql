-- purpose: a campaign's single-use codes in the order in which they were minted, going on behind one
-- takes: $1 campaign_id, $2 the last code_id before, $3 how many
-- returns: {code_id, shown, state, intended_user, claimed_by, claimed_at}
SELECT code_id, coalesce(spelling, code) AS shown, state, intended_user, claimed_by, claimed_at
FROM codes
WHERE campaign_id = $1 AND code_id > $2 AND state <> 'shared'
ORDER BY code_id
LIMIT $3
