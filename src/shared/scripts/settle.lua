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

-- Calls of one command for many fields at once; what is returned is the answers in a row.
local function many(command, key, fields)
  local answers = {}
  for first = 1, #fields, 1000 do
    local answer = redis.call(command, key, unpack(fields, first, math.min(first + 999, #fields)))
    if command == 'HMGET' then
      for i, value in ipairs(answer) do answers[first + i - 1] = value end
    end
  end
  return answers
end

-- The reservations of these claims are over: each by its name, and in the numbers of its holder and its campaign.
local function drop(claims)
  local fewer, fields = {}, {}
  local function count(field)
    if not fewer[field] then fields[#fields + 1] = field end
    fewer[field] = (fewer[field] or 0) + 1
  end
  for _, holder in ipairs(many('HMGET', KEYS[3], claims)) do
    if holder then
      count(holder)
      count(string.sub(holder, 1, 32))
    end
  end
  many('HDEL', KEYS[3], claims)
  local left, gone = {}, {}
  for i, n in ipairs(many('HMGET', KEYS[4], fields)) do
    local rest = (number(n) or 0) - fewer[fields[i]]
    if rest > 0 then left[#left + 1], left[#left + 2] = fields[i], rest else gone[#gone + 1] = fields[i] end
  end
  many('HSET', KEYS[4], left)
  many('HDEL', KEYS[4], gone)
end

if ARGV[2] ~= '' then
  local decided = redis.call('XRANGE', KEYS[2], '-', ARGV[2])
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3])
  if redis.call('XLEN', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[3], KEYS[4])
  else
    local claims, seen = {}, {}
    for _, entry in ipairs(decided) do
      local claim = entry[2][2]
      if not seen[claim] then claims[#claims + 1] = claim end
      seen[claim] = true
    end
    drop(claims)
  end
end

local function set_users(users, marks, first, n, seq)
  local names, appended, changed = {}, {}, {}
  for i = 1, n do names[i] = ARGV[first + (i - 1) * 3] end
  for i, held in ipairs(many('HMGET', users, names)) do
    local u = first + (i - 1) * 3
    if not held then appended[#appended + 1] = ARGV[u + 2] end
    local known = held and tonumber(string.match(held, ':(%d+)$')) or -1
    if not held or seq >= known then changed[#changed + 1], changed[#changed + 2] = names[i], ARGV[u + 1] .. ':' .. seq end
  end
  if #appended > 0 then redis.call('APPEND', marks, table.concat(appended)) end
  many('HSET', users, changed)
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
  set_users(users, marks, arg + 6, tonumber(n), seq)
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
