-- purpose: find what still stands without reading what does not: campaigns whose rules may bind a claim, what orders hold

-- Those that may still give something: only while there are any do claims lock their orders.
CREATE INDEX campaigns_that_stack_on ON campaigns (coalesce(ends_at, 'infinity'::timestamptz))
    WHERE stacking_rules IS NOT NULL AND status <> 'ended';

-- An order may have been claimed for and released thousands of times. What stands is looked for as what is never released:
-- were it what has no released_at, the indexes of all that is active would be candidates, and small tables read through them.
DROP INDEX redemptions_by_order;
CREATE INDEX redemptions_by_order ON redemptions (order_id, coalesce(released_at, 'infinity'::timestamptz));

-- spelling: the code as it was made, where its campaign is exact.
ALTER TABLE redemptions ADD COLUMN spelling text;
UPDATE redemptions r SET spelling = k.spelling FROM codes k WHERE k.code_id = r.code_id AND k.spelling IS NOT NULL;

CREATE OR REPLACE FUNCTION redemption_document(r redemptions) RETURNS json STABLE LANGUAGE sql AS $$
    SELECT json_build_object(
        'redemption_id', r.redemption_id, 'campaign_id', r.campaign_id, 'slice_no', r.slice_no, 'code_id', r.code_id,
        'code', r.code, 'spelling', r.spelling, 'user_id', r.user_id, 'use_no', r.use_no, 'user_limit', r.user_limit,
        'order_id', r.order_id, 'discount_applied', r.discount_applied, 'amount', r.amount, 'single_use', r.single_use,
        'idempotency_key', r.idempotency_key, 'body_hash', encode(r.body_hash, 'base64'), 'state', r.state,
        'claimed_at', r.claimed_at, 'hold_expires_at', r.hold_expires_at, 'redeemed_at', r.redeemed_at,
        'released_at', r.released_at, 'released_reason', r.released_reason)
$$;
