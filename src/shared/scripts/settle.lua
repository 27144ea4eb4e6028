-- purpose: set gates to what was committed, drop the reservations of what is decided, trim the mailbox
-- KEYS: 1 pointer, 2 mailbox, 3 reservations, 4 reserved; then for each campaign: gate, users, marks
-- ARGV: 1 incarnation, 2 cursor (last entry decided; '' leaves the mailbox alone), 3 first id after the cursor;
--       then for each campaign: mode, ledger sequence, free slots or 'unlimited', per-user limit, why closed or '', number of users,
--       then for each user: user, active redemptions, mark (4 bytes)
--       mode: 'move' sets a gate that is warm · 'wipe' empties it and adds users · 'more' adds users · 'seed' adds users and makes it warm
-- answer: {'moved', living incarnation or ''} | {'broken'} | {'ok', for each campaign the sequence it is at (-1: cold)}
-- Set, never add: repeated, late and lost calls do no harm. A sequence older than what is there is refused, for a gate as a
-- whole and for each user. A reservation lives exactly as long as its entry, so none can leak.
local function is(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end

-- To Lua, "nan" and "inf" are numbers: values that no comparison would ever put right.
local function number(text)
  local n = tonumber(text)
  return n and n > -math.huge and n < math.huge and n or nil
end

if not is(KEYS[1], 'string') then return {'broken'} end
local living = redis.call('GET', KEYS[1])
if living ~= ARGV[1] then return {'moved', living or ''} end
if not (is(KEYS[2], 'stream') and is(KEYS[3], 'hash') and is(KEYS[4], 'hash')) then return {'broken'} end

local function lower(field)
  local left = (number(redis.call('HGET', KEYS[4], field)) or 0) - 1
  if left > 0 then redis.call('HSET', KEYS[4], field, left) else redis.call('HDEL', KEYS[4], field) end
end

if ARGV[2] ~= '' then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', ARGV[2])) do
    local claim = entry[2][2]
    local holder = redis.call('HGET', KEYS[3], claim)
    if holder then
      redis.call('HDEL', KEYS[3], claim)
      lower(holder)
      lower(string.sub(holder, 1, 32))
    end
  end
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3])
  if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[3], KEYS[4]) end
end

local function set_user(users, marks, user, value, seq, mark)
  local held = redis.call('HGET', users, user)
  if not held then redis.call('APPEND', marks, mark) end
  local known = held and tonumber(string.match(held, ':(%d+)$')) or -1
  if not held or seq >= known then redis.call('HSET', users, user, value .. ':' .. seq) end
end

-- The sequence a warm gate is at; nil when it is cold, or has lost some of its users.
local function position(gate, users, marks)
  local state = redis.call('HMGET', gate, 'seq', 'members', 'edition')
  local members = number(state[2])
  local whole = state[3] and members == redis.call('HLEN', users) and 4 * members == redis.call('STRLEN', marks)
  return whole and number(state[1]) or nil
end

local answer, arg, key = {}, 4, 5
while key <= #KEYS do
  local gate, users, marks = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local mode, seq, free, limit, closed, n = unpack(ARGV, arg, arg + 5)
  seq = tonumber(seq)
  if mode == 'wipe' or not (is(gate, 'hash') and is(users, 'hash') and is(marks, 'string')) then
    redis.call('DEL', gate, users, marks)
  end
  local at = position(gate, users, marks)
  for i = 0, tonumber(n) - 1 do
    local u = arg + 6 + i * 3
    set_user(users, marks, ARGV[u], ARGV[u + 1], seq, ARGV[u + 2])
  end
  if mode == 'seed' and not at then
    local time = redis.call('TIME')
    redis.call('HSET', gate, 'edition', time[1] .. '.' .. time[2])
    at = seq
  end
  if at and (mode == 'move' or mode == 'seed') then
    redis.call('HSET', gate, 'members', redis.call('HLEN', users))
    if seq >= at then
      redis.call('HSET', gate, 'seq', seq, 'free', free, 'limit', limit, 'closed', closed)
      at = seq
    end
  end
  answer[#answer + 1] = at or -1
  arg, key = arg + 6 + tonumber(n) * 3, key + 3
end
return {'ok', answer}
