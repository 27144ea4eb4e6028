-- purpose: redemptions that no longer say what the ledger recorded when they were claimed; all of it is final but the state
-- returns: {place, detail, faults} of the first, none when there is none
-- The payload is cast only where it is JSON: one that is not is itself the fault, not the end of the audit.
SELECT format('redemption %s', redemption_id) AS place,
       'its row is not what the ledger says was claimed' AS detail,
       count(*) OVER () AS faults
FROM redemptions AS r
JOIN ledger AS l USING (redemption_id)
WHERE l.kind = 'claimed'
  AND CASE WHEN l.payload IS JSON OBJECT THEN NOT l.payload::jsonb @> jsonb_build_object(
        'campaign_id', r.campaign_id, 'slice_no', r.slice_no, 'code', r.code, 'user_id', r.user_id, 'use_no', r.use_no,
        'order_id', r.order_id, 'discount_applied', r.discount_applied, 'amount', r.amount, 'code_id', r.code_id,
        'single_use', r.single_use, 'idempotency_key', r.idempotency_key)
      ELSE true END
ORDER BY redemption_id
LIMIT 1
