-- purpose: where a segment's list waits until it is whole; gone with the transaction
CREATE TEMPORARY TABLE staged_members (line bigint NOT NULL, user_id text NOT NULL, since date) ON COMMIT DROP
