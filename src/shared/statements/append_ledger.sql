-- purpose: write ledger rows and move the partition's head (and, for an owner, its cursor) with them
-- takes: $1 partition_no, $2 last_seq before, $3..$8 the rows as arrays (seq, kind, redemption_id, payload, prev_hash, hash),
--        $9 cursor or null
-- returns: one row {written} with the number of ledger rows; no row when the head has moved
WITH head AS (
    UPDATE partitions
    SET last_seq = $2 + cardinality($3::bigint[]),
        chain_head = coalesce(($8::bytea[])[cardinality($8::bytea[])], chain_head),
        cursor = coalesce($9, cursor)
    WHERE partition_no = $1 AND last_seq = $2
    RETURNING partition_no
), written AS (
    INSERT INTO ledger (partition_no, seq, kind, redemption_id, payload, prev_hash, hash)
    SELECT head.partition_no, row.*
    FROM head, unnest($3::bigint[], $4::text[], $5::uuid[], $6::text[], $7::bytea[], $8::bytea[]) AS row
    RETURNING seq
)
SELECT (SELECT count(*) FROM written) AS written FROM head
