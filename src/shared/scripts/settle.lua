-- purpose: set gates to what was committed, drop the reservations of what is decided, trim the mailbox
-- KEYS: 1 pointer, 2 term, 3 mailbox, 4 reservations, 5 reserved, 6 seeded; then for each campaign: gate, users, marks
-- ARGV: 1 incarnation, 2 epoch of the owner ('' for a front door), 3 cursor (last entry decided; '' leaves the mailbox alone),
--       4 first id after the cursor, 5 how long a certificate is good for (ms), 6 mode, 7 name of the seeding,
--       8 a list (msgpack: an argument for each would cost more than all the rest) of, for each campaign: ledger sequence, free
--       slots or 'unlimited', per-user limit, why closed or '' ('held': everybody waits), 1 if its own code gives nothing, layout
--       of its slices, users and their active redemptions (two lists); 9 and so on: the users' marks of each (4 bytes each)
--       mode: 'move' sets a gate that is warm · 'wipe' empties it, for a seeding if one is named · 'more' adds users to that
--       seeding · 'seed' makes the gate warm that it has filled. What is moved while a seeding goes on is part of it
-- answer: {'moved', living incarnation or ''} | {'broken'} | {'ok', for each campaign the sequence it is at (-1: cold)}
-- Set, never add: repeated, late and lost calls do no harm. A sequence older than what is there is refused, for a gate as a
-- whole and for each user; so is an owner who has an heir. A gate of an earlier layout, which served other users, becomes cold.
-- A cold gate takes no users but from its seeding, and a seeding that has lost some of its own takes no more: a gate whose users
-- were lost would be whole again, without them, as soon as as many others had been set.
-- A reservation lives exactly as long as its entry, so none can leak.
local elsewhere = over(KEYS[1], ARGV[1])
if elsewhere then return elsewhere end
if not (is(KEYS[3], 'stream') and is(KEYS[4], 'hash') and is(KEYS[5], 'hash') and is(KEYS[6], 'set')) then return {'broken'} end
local term = is(KEYS[2], 'hash') and redis.call('HMGET', KEYS[2], 'epoch', 'began') or {}
local epoch, began = number(term[1]), number(term[2])
if not (epoch and began) then return {'broken'} end
if ARGV[2] ~= '' then
  if tonumber(ARGV[2]) < epoch then return {'moved', ''} end
  redis.call('HSET', KEYS[2], 'epoch', ARGV[2])
end

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
  for _, holder in ipairs(many('HMGET', KEYS[4], claims)) do
    if holder then
      count(holder)
      count(string.sub(holder, 1, 32))
    end
  end
  many('HDEL', KEYS[4], claims)
  local left, gone = {}, {}
  for i, n in ipairs(many('HMGET', KEYS[5], fields)) do
    local rest = (number(n) or 0) - fewer[fields[i]]
    if rest > 0 then left[#left + 1], left[#left + 2] = fields[i], rest else gone[#gone + 1] = fields[i] end
  end
  many('HSET', KEYS[5], left)
  many('HDEL', KEYS[5], gone)
end

if ARGV[3] ~= '' then
  local decided = redis.call('XRANGE', KEYS[3], '-', ARGV[3])
  redis.call('XTRIM', KEYS[3], 'MINID', ARGV[4])
  if redis.call('XLEN', KEYS[3]) == 0 then
    redis.call('DEL', KEYS[4], KEYS[5])
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

local function set_users(users, marks, said, marked, seq)
  local names, active = unpack(said)
  local appended, changed = {}, {}
  for i, held in ipairs(many('HMGET', users, names)) do
    if not held then appended[#appended + 1] = string.sub(marked, 4 * i - 3, 4 * i) end
    local known = held and tonumber(string.match(held, ':(%d+)$')) or -1
    if not held or seq >= known then changed[#changed + 1], changed[#changed + 2] = names[i], active[i] .. ':' .. seq end
  end
  if #appended > 0 then redis.call('APPEND', marks, table.concat(appended)) end
  many('HSET', users, changed)
end

-- The sequence a warm gate is at, and the name of the seeding that fills one; neither when it has lost some of its users.
local function standing(gate, users, marks)
  local state = redis.call('HMGET', gate, 'seq', 'members', 'edition', 'seeding')
  local members = number(state[2])
  if members ~= redis.call('HLEN', users) or 4 * members ~= redis.call('STRLEN', marks) then return nil, nil end
  local at = state[3] and number(state[1]) or nil
  return at, not at and state[4] or nil
end

-- A gate that becomes warm gives nothing while a certificate may be good that it does not know of: one of the life before, or
-- one of its own from before it was lost.
local function held_until(gate)
  local from = redis.call('SADD', KEYS[6], gate) == 0 and milliseconds() or began
  return from + tonumber(ARGV[5])
end

local mode, seeding = ARGV[6], ARGV[7]
local told = cmsgpack.unpack(ARGV[8])
local answer, arg, key = {}, 1, 7
while key <= #KEYS do
  local gate, users, marks = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local seq, free, limit, closed, dry, layout, said = unpack(told, arg, arg + 6)
  local marked = ARGV[9 + #answer]
  if mode == 'wipe' or not (is(gate, 'hash') and is(users, 'hash') and is(marks, 'string')) then
    redis.call('DEL', gate, users, marks)
    if mode == 'wipe' and seeding ~= '' then redis.call('HSET', gate, 'seeding', seeding, 'members', 0) end
  end
  local ours = true
  local known = redis.call('HMGET', gate, 'layout', 'seq', 'closed')
  if known[1] and known[1] ~= layout then
    ours = seq > (number(known[2]) or -1)
    if ours then redis.call('DEL', gate, users, marks) end
    -- It has held everybody back for longer than a certificate is good for: its heir need not wait for the end of one.
    if ours and known[3] == 'held' then redis.call('SREM', KEYS[6], gate) end
  end
  local at, filling = standing(gate, users, marks)
  if mode == 'move' then ours = ours and (at or filling) else ours = ours and filling and filling == seeding end
  if ours then set_users(users, marks, said, marked, seq) end
  if ours and mode == 'seed' then
    redis.call('HSET', gate, 'edition', seeding, 'held_until', held_until(gate))
    redis.call('HDEL', gate, 'seeding')
    at = seq
  end
  if ours then
    local newest = number(redis.call('HGET', gate, 'seq')) or -1
    redis.call('HSET', gate, 'members', redis.call('HLEN', users))
    if seq >= newest then
      redis.call('HSET', gate, 'seq', seq, 'free', free, 'limit', limit, 'closed', closed, 'dry', dry, 'layout', layout)
      newest = seq
    end
    at = at and newest
  end
  answer[#answer + 1] = at or -1
  arg, key = arg + 7, key + 3
end
return {'ok', answer}
