-- purpose: keep what these orders hold from changing until the end of this transaction
-- takes: $1 order ids, each once and in ascending order (two batches in different orders would deadlock), $2 now
INSERT INTO order_holds (order_id, at)
SELECT order_id, $2 FROM unnest($1::text[]) AS asked (order_id)
ON CONFLICT (order_id) DO UPDATE SET at = excluded.at
