-- purpose: drop the rows of orders that were last claimed for more than $1 seconds ago; whoever claims for one again makes a new row
-- takes: $1 seconds
-- Rows that a batch has locked are passed over: whoever waits for nobody is in no deadlock.
DELETE FROM order_holds
WHERE order_id IN (
    SELECT order_id FROM order_holds WHERE at < clock_timestamp() - make_interval(secs => $1) FOR UPDATE SKIP LOCKED
)
