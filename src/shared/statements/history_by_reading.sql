-- purpose: what the ledger tells of an order, a user or a code, in its own order, found by reading all of it
-- takes: $1 the name as an order or a user has it, $2 as a code has it (normal form, or null), $3 and $4 both as JSON has them
-- returns: {partition_no, seq, kind, redemption_id, payload, at}; read through a cursor
-- Redemptions are found by their rows, whatever their later ledger rows say; refusals and campaigns by what they tell. A row is
-- read as JSON only if the name is in it at all. Between partitions there is no order but the clock's, which must not undo theirs.
WITH named AS (
    SELECT redemption_id
    FROM redemptions
    WHERE order_id = $1 OR user_id = $1 OR code = $2
       OR campaign_id = (SELECT campaign_id FROM codes WHERE code = $2 AND state = 'shared')
), told AS (
    SELECT partition_no, seq, kind, redemption_id, payload, at
    FROM ledger
    WHERE redemption_id IN (SELECT redemption_id FROM named)
       OR (
           (strpos(payload, $3) > 0 OR strpos(payload, $4) > 0)
           AND CASE WHEN payload IS JSON OBJECT THEN
               $1 IN (payload::json ->> 'order_id', payload::json ->> 'user_id')
               OR $2 IN (payload::json ->> 'code', payload::json #>> '{campaign,code}')
               ELSE false END
       )
)
SELECT partition_no, seq, kind, redemption_id, payload, at
FROM told
ORDER BY max(at) OVER (PARTITION BY partition_no ORDER BY seq), partition_no, seq
