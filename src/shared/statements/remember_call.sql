-- purpose: write down what a call with an Idempotency-Key is answered
-- takes: $1 call_id, $2 body_hash, $3 answer (JSON text)
INSERT INTO answered_calls (call_id, body_hash, answer) VALUES ($1, $2, $3)
