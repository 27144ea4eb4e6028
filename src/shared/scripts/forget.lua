-- purpose: delete keys of earlier incarnations, while the one that does so is the living one
-- KEYS: 1 pointer, then what is to be deleted
-- ARGV: 1 incarnation
-- answer: 1, or 0 when another one lives
if living(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('UNLINK', unpack(KEYS, 2))
return 1
