-- purpose: let one transaction at a time make codes: two that draw alike would each wait for what the other has inserted
-- takes: nothing
-- returns: one empty row, when the lock is granted; it is held until the end of the transaction
SELECT pg_advisory_xact_lock(hashtext('codes'))
