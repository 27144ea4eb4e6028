-- purpose: make another incarnation the living one, unless somebody else was faster; without a name only look
-- KEYS: 1 pointer, 2 the new one's term
-- ARGV: 1 incarnation the pointer is expected to name ('' for none), 2 the new one ('' to look), 3 epoch of its owner
-- answer: the incarnation that the pointer named
local named = living(KEYS[1])
if ARGV[2] ~= '' and named == ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[3], 'began', milliseconds())
  redis.call('SET', KEYS[1], ARGV[2])
end
return named
