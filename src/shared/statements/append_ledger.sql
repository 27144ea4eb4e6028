-- purpose: write ledger rows and move the heads of their partitions (and, for an owner, its cursor) with them
-- takes: the heads as arrays: $1 partition_no, $2 last_seq before, $3 chain_head after, $4 cursor or null, $5 how many rows;
--        $6.. the rows as arrays: partition_no, seq, kind, redemption_id, payload, prev_hash, hash
-- returns: one row {heads moved, ledger rows written}; a head that is elsewhere is not moved, and gets no rows
WITH head AS (
    UPDATE partitions p
    SET last_seq = page.last_seq + page.rows, chain_head = page.chain_head, cursor = coalesce(page.cursor, p.cursor)
    FROM unnest($1::smallint[], $2::bigint[], $3::bytea[], $4::text[], $5::integer[])
        AS page (partition_no, last_seq, chain_head, cursor, rows)
    WHERE p.partition_no = page.partition_no AND p.last_seq = page.last_seq
    RETURNING p.partition_no
), written AS (
    INSERT INTO ledger (partition_no, seq, kind, redemption_id, payload, prev_hash, hash)
    SELECT row.*
    FROM unnest($6::smallint[], $7::bigint[], $8::text[], $9::uuid[], $10::text[], $11::bytea[], $12::bytea[])
        AS row (partition_no, seq, kind, redemption_id, payload, prev_hash, hash)
    JOIN head USING (partition_no)
    RETURNING seq
)
SELECT (SELECT count(*) FROM head) AS heads, (SELECT count(*) FROM written) AS written
