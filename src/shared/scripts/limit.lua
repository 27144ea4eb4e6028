-- purpose: take calls out of the buckets of a micro-batch of subjects, count their failures, and tell what other doors found
-- KEYS: 1 stream of the latest blocks; then for each charge its subject's state (a subject may be charged more than once)
-- ARGV: 1 last block the caller knows of; then numbers in a row as MessagePack, because a client pays for each argument:
--       2 how long a failure is remembered (ms), blocks kept, blocks told at once, steps of a ladder; then for each kind of
--       call: ms until a bucket gets one call back, calls it holds, and the ladder: for how many ms the first, second, …
--       failure blocks, the last step standing for all that follow
--       3 for each charge: kind of call (0 or 1), calls spent already, calls asked for, failures
-- answer: {time, last block, blocks, standings}, times in ms of this Redis
--         blocks: those since, as {id, {'s', key of the subject, 'u', until when, 'f', failures}}
--         standings: five numbers in a row for each charge of which the caller cannot know by itself what came of it (nobody had
--         heard of its subject, nothing was asked for, nothing failed): its number, how many of the asked calls were granted,
--         when the bucket is full, until when the subject is blocked (or 0), how many failures it has
-- state: when the buckets are full; and, of who has failed: failures, until when they are remembered, until when it is blocked
-- What was spent was answered from memory, and is taken even from an empty bucket; but never more than a second bucketful is
-- owed, which also bounds what a clock that was set back can do.
-- States are kept in arrays, a number for each subject: a table for each would cost more than all the rest.
local now = milliseconds()
local told, charges = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local remember_ms, kept, at_once, steps = unpack(told, 1, 4)
if not is(KEYS[1], 'stream') then redis.call('DEL', KEYS[1]) end

local policies = {}
for call = 0, 1 do
  local at = 5 + call * (2 + steps)
  policies[call] = {interval = told[at], burst = told[at] * told[at + 1], ladder = {unpack(told, at + 2, at + 1 + steps)}}
end

local names, numbered, charged = {}, {}, {}
local full, failures, remembered, blocked, known = {[0] = {}, {}}, {}, {}, {}, {}
for i = 2, #KEYS do
  local name = KEYS[i]
  local n = numbered[name]
  if n then
    known[n] = true
  else
    n = #names + 1
    names[n], numbered[name] = name, n
    full[0][n], full[1][n], failures[n], remembered[n], blocked[n] = 0, 0, 0, 0, 0
  end
  charged[i - 1] = n
end
for n, text in ipairs(#names > 0 and redis.call('MGET', unpack(names)) or {}) do
  if text then
    known[n] = true
    local a, b, count, until_ms, blocked_ms = string.match(text, '^(%d+) (%d+) ?(%d*) ?(%d*) ?(%d*)$')
    full[0][n], full[1][n] = number(a) or 0, number(b) or 0
    if (number(until_ms) or 0) > now then
      failures[n], remembered[n] = number(count) or 0, math.min(number(until_ms), now + remember_ms)
      blocked[n] = math.min(number(blocked_ms) or 0, remembered[n])
    end
  end
end

local function fail(n, ladder, more)
  failures[n] = failures[n] + more
  remembered[n] = now + remember_ms
  local until_ms = now + ladder[math.min(failures[n], steps)]
  if until_ms > math.max(blocked[n], now) then
    blocked[n] = until_ms
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', kept, '*', 's', names[n], 'u', until_ms, 'f', failures[n])
    redis.call('PEXPIRE', KEYS[1], remember_ms)
  end
end

local standings = {}
for i, n in ipairs(charged) do
  local at = 4 * i
  local call, spent, asked, failed = charges[at - 3], charges[at - 2], charges[at - 1], charges[at]
  local policy = policies[call]
  local bucket = full[call]
  local full_at = math.min(math.max(bucket[n], now) + spent * policy.interval, now + 2 * policy.burst)
  local granted = 0
  if asked > 0 and blocked[n] <= now then
    granted = math.max(0, math.min(asked, math.floor((now + policy.burst - full_at) / policy.interval)))
  end
  bucket[n] = full_at + granted * policy.interval
  if failed > 0 then fail(n, policy.ladder, failed) end
  if known[n] or asked > 0 or failed > 0 then
    local last = #standings
    standings[last + 1], standings[last + 2], standings[last + 3] = i - 1, granted, bucket[n]
    standings[last + 4], standings[last + 5] = blocked[n], failures[n]
  end
end

for n, name in ipairs(names) do
  local a, b = full[0][n], full[1][n]
  local lives_ms = math.max(a, b, remembered[n]) - now
  if lives_ms > 0 then
    local text = string.format('%d %d', a, b)
    if failures[n] > 0 then text = text .. string.format(' %d %d %d', failures[n], remembered[n], blocked[n]) end
    redis.call('SET', name, text, 'PX', lives_ms)
  end
end

local blocks = redis.call('XRANGE', KEYS[1], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'COUNT', at_once)
return {now, #blocks > 0 and blocks[#blocks][1] or ARGV[1], blocks, standings}
