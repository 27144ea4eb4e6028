-- purpose: what the ledger tells of an order, a user or a single-use code, in its own order
-- takes: $1 the name as an order or a user has it, $2 as a code has it (normal form, or null), $3 its redemptions, $4 and $5 the
--        partitions and sequences of their rows (pairwise, see history_places)
-- returns: {partition_no, seq, kind, redemption_id, payload, at}; read through a cursor
-- Refusals are found by what they name, and by the claim that was refused. Between partitions there is no order but the clock's,
-- which must not undo theirs.
WITH told AS (
    SELECT row.*
    FROM unnest($4::smallint[], $5::bigint[]) AS place (partition_no, seq)
    CROSS JOIN LATERAL (SELECT * FROM ledger l WHERE l.partition_no = place.partition_no AND l.seq = place.seq OFFSET 0) AS row
    UNION
    SELECT * FROM ledger WHERE redemption_id = ANY ($3::uuid[]) AND kind IN ('refused', 'dead_lettered')
    UNION
    SELECT *
    FROM ledger
    WHERE kind NOT IN ('claimed', 'redeemed', 'released') AND names_told(payload) && array_remove(ARRAY[$1, $2], NULL)
      AND ($1 IN (payload::json ->> 'order_id', payload::json ->> 'user_id')
           OR $2 IN (payload::json ->> 'code', payload::json #>> '{campaign,code}'))
)
SELECT partition_no, seq, kind, redemption_id, payload, at
FROM told
ORDER BY max(at) OVER (PARTITION BY partition_no ORDER BY seq), partition_no, seq
