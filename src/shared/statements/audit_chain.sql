-- purpose: a partition's ledger from its first row to its last, read through a cursor so that its length does not matter
-- takes: $1 partition_no
-- returns: {seq, kind, redemption_id, payload, prev_hash, hash}, in order
SELECT seq, kind, redemption_id, payload, prev_hash, hash
FROM ledger
WHERE partition_no = $1
ORDER BY seq
