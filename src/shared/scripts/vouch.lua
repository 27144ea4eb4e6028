-- purpose: an owner's word, good for a moment, that its life goes on: until then the gate refuses by itself
-- KEYS: 1 pointer, 2 term
-- ARGV: 1 incarnation, 2 epoch of the owner, 3 until when it is good (ms of this clock; what comes late is over already)
-- answer: {'moved', living incarnation or ''} | {'broken'} | {'ok', now in ms}
local elsewhere = over(KEYS[1], ARGV[1])
if elsewhere then return elsewhere end
local epoch = is(KEYS[2], 'hash') and number(redis.call('HGET', KEYS[2], 'epoch'))
if not epoch then return {'broken'} end
if tonumber(ARGV[2]) < epoch then return {'moved', ''} end
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'vouched_until', ARGV[3])
return {'ok', milliseconds()}
