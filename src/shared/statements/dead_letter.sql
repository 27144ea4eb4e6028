-- purpose: put aside an entry that cannot be decided
-- takes: $1 partition_no, $2 incarnation, $3 entry_id, $4 claim_id or null, $5 entry, $6 error
INSERT INTO dead_letters (partition_no, incarnation, entry_id, claim_id, entry, error)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
