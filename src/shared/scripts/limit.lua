-- purpose: take calls out of the buckets of a micro-batch of subjects, count their failures, and tell what other doors found
-- KEYS: 1 stream of the latest blocks; then for each charge its subject's state (a subject may be charged more than once)
-- ARGV: 1 last block the caller knows of; then numbers in a row, with spaces between, because a client pays for each argument:
--       2 how long a failure is remembered (ms), blocks kept, blocks told at once, steps of a ladder; then for each kind of
--       call: ms until a bucket gets one call back, calls it holds, and the ladder: for how many ms the first, second, …
--       failure blocks, the last step standing for all that follow
--       3 for each charge: kind of call (0 or 1), calls spent already, calls asked for, failures
-- answer: {time, last block, blocks, standings}, times in ms of this Redis
--         blocks: those since, as {id, {'s', key of the subject, 'u', until when, 'f', failures}}
--         standings: four numbers in a row for each charge: how many of the asked calls were granted, when the bucket is
--         full, until when the subject is blocked (or 0), how many failures it has
-- state: when the buckets are full, failures, until when they are remembered, until when the subject is blocked
-- What was spent was answered from memory, and is taken even from an empty bucket; but never more than a second bucketful is
-- owed, which also bounds what a clock that was set back can do.
local function numbers(text)
  local found = {}
  for digits in string.gmatch(text, '%d+') do found[#found + 1] = tonumber(digits) end
  return found
end

local now = milliseconds()
local told, charges = numbers(ARGV[2]), numbers(ARGV[3])
local remember_ms, kept, at_once, steps = unpack(told, 1, 4)
if not is(KEYS[1], 'stream') then redis.call('DEL', KEYS[1]) end

local policies = {}
for call = 0, 1 do
  local at = 5 + call * (2 + steps)
  policies[call] = {interval = told[at], calls = told[at + 1], ladder = {unpack(told, at + 2, at + 1 + steps)}}
end

local names = {}
for i = 2, #KEYS do names[i - 1] = KEYS[i] end
local states = {}
for i, text in ipairs(#names > 0 and redis.call('MGET', unpack(names)) or {}) do
  local name = names[i]
  if not states[name] then
    local a, b, failures, remembered, blocked = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
    local state = {full = {[0] = number(a) or 0, [1] = number(b) or 0}, failures = 0, remembered = 0, blocked = 0}
    if (number(remembered) or 0) > now then
      state.failures, state.remembered = number(failures) or 0, math.min(number(remembered), now + remember_ms)
      state.blocked = math.min(number(blocked) or 0, state.remembered)
    end
    states[name] = state
  end
end

local function fail(name, state, ladder, failures)
  state.failures = state.failures + failures
  state.remembered = now + remember_ms
  local until_ms = now + ladder[math.min(state.failures, steps)]
  if until_ms > math.max(state.blocked, now) then
    state.blocked = until_ms
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', kept, '*', 's', name, 'u', until_ms, 'f', state.failures)
    redis.call('PEXPIRE', KEYS[1], remember_ms)
  end
end

local standings = {}
for i, name in ipairs(names) do
  local state = states[name]
  local call, spent, asked, failures = unpack(charges, 4 * i - 3, 4 * i)
  local policy = policies[call]
  local burst = policy.calls * policy.interval
  local full = math.min(math.max(state.full[call], now) + spent * policy.interval, now + 2 * burst)
  local room = math.floor((now + burst - full) / policy.interval)
  local granted = state.blocked > now and 0 or math.max(0, math.min(asked, room))
  state.full[call] = full + granted * policy.interval
  if failures > 0 then fail(name, state, policy.ladder, failures) end
  local n = #standings
  standings[n + 1], standings[n + 2], standings[n + 3], standings[n + 4] = granted, state.full[call], state.blocked, state.failures
end

for name, state in pairs(states) do
  local lives_ms = math.max(state.full[0], state.full[1], state.remembered) - now
  if lives_ms > 0 then
    local text = string.format('%.0f %.0f %.0f %.0f %.0f', state.full[0], state.full[1], state.failures, state.remembered, state.blocked)
    redis.call('SET', name, text, 'PX', lives_ms)
  end
end

local blocks = redis.call('XRANGE', KEYS[1], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'COUNT', at_once)
return {now, #blocks > 0 and blocks[#blocks][1] or ARGV[1], blocks, standings}
