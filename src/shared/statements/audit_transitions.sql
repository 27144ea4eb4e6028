-- purpose: the state machine as the database enforces it
-- returns: {from_state, step, to_state}
SELECT from_state, step, to_state FROM redemption_transitions ORDER BY from_state, step
