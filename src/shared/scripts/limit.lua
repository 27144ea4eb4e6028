-- purpose: take calls out of the buckets of a micro-batch of subjects, count their failures, and tell what other doors found
-- KEYS: 1 stream of the latest blocks; then for each charge its subject's state (a subject may be charged more than once)
-- ARGV: 1 last block the caller knows of, 2 how long a failure is remembered (ms), 3 blocks kept, 4 blocks told at once, 5 steps of a ladder;
--       then for each kind of call: ms until a bucket gets one call back, calls it holds, and the ladder: for how many ms the
--       first, second, … failure blocks, the last step standing for all that follow;
--       then for each charge: kind of call (0 or 1), calls spent already, calls asked for, failures
-- answer: {time, last block, blocks, standings}, times in ms of this Redis
--         blocks: those since, as {id, {'s', key of the subject, 'u', until when, 'f', failures}}
--         standings: four numbers in a row for each charge: how many of the asked calls were granted, when the bucket is
--         full, until when the subject is blocked (or 0), how many failures it has
-- state: when the buckets are full, failures, until when they are remembered, until when the subject is blocked
-- What was spent was answered from memory, and is taken even from an empty bucket; but never more than a second bucketful is
-- owed, which also bounds what a clock that was set back can do.
local CALLS, HEAD = 2, 6
local now = milliseconds()
local remember_ms, kept, steps = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])
if not is(KEYS[1], 'stream') then redis.call('DEL', KEYS[1]) end

local arg, policies = HEAD, {}
for call = 0, CALLS - 1 do
  local ladder = {}
  for step = 1, steps do ladder[step] = tonumber(ARGV[arg + 1 + step]) end
  policies[call] = {interval = tonumber(ARGV[arg]), calls = tonumber(ARGV[arg + 1]), ladder = ladder}
  arg = arg + 2 + steps
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
for _, name in ipairs(names) do
  local state, call = states[name], tonumber(ARGV[arg])
  local spent, asked, failures = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local policy = policies[call]
  local burst = policy.calls * policy.interval
  local full = math.min(math.max(state.full[call], now) + spent * policy.interval, now + 2 * burst)
  local room = math.floor((now + burst - full) / policy.interval)
  local granted = state.blocked > now and 0 or math.max(0, math.min(asked, room))
  state.full[call] = full + granted * policy.interval
  if failures > 0 then fail(name, state, policy.ladder, failures) end
  local n = #standings
  standings[n + 1], standings[n + 2], standings[n + 3], standings[n + 4] = granted, state.full[call], state.blocked, state.failures
  arg = arg + 4
end

for name, state in pairs(states) do
  local lives_ms = math.max(state.full[0], state.full[1], state.remembered) - now
  if lives_ms > 0 then
    local text = string.format('%.0f %.0f %.0f %.0f %.0f', state.full[0], state.full[1], state.failures, state.remembered, state.blocked)
    redis.call('SET', name, text, 'PX', lives_ms)
  end
end

local blocks = redis.call('XRANGE', KEYS[1], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'COUNT', ARGV[4])
return {now, #blocks > 0 and blocks[#blocks][1] or ARGV[1], blocks, standings}
