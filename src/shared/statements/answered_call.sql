-- purpose: what a call with an Idempotency-Key was answered before
-- takes: $1 call_id
-- returns: {body_hash, answer (JSON text)}, no row when it was not
SELECT body_hash, answer FROM answered_calls WHERE call_id = $1
