-- purpose: answer a micro-batch of claims: in the mailbox already? does the user hold something? a slot left? then reserve it
-- KEYS: 1 pointer, 2 mailbox, 3 reservations, 4 reserved, 5 active, 6 bell, 7 term; then for each campaign: gate, users, marks
-- ARGV: 1 incarnation, 2 longest mailbox, 3 how long a certificate is good for (ms), 4 two lists (msgpack: an argument for
--       each would cost more than all the rest):
--       for each campaign: its id, why the caller thinks it closed ('' if it does not), the edition of the gate whose marks
--       the caller has, how many bytes of them, the layout of slices that it knows of;
--       and for each claim: number of its campaign, claim id, user, 1 to pass over how much the gate thinks the user has plus 2
--       if it is asked for by the campaign's own code, why the caller thinks nothing is given to this one ('' if it does not,
--       then the campaign's reason stands);
--       5 and so on: what is appended for each claim
-- answer: {'moved', living incarnation or ''} | {'broken'} | {'ok', verdicts, campaigns}
--         verdicts: an integer a claim, see shared.gate.Verdict
--         campaigns: {why closed, 1 if certified for all, 2 if for who asks by its own code, edition of the gate, bytes of
--         marks in all, marks the caller lacks}
-- While no owner vouches for the life, somebody may be winning without this gate: it certifies nothing then, and its refusals are
-- to be looked up.
-- Lua does not roll back: everything is checked first, totals are kept in locals, and no write can fail half-way.
local ADMITTED, PENDING, WAIT, COLD, BUSY = 1, 2, 3, 4, 5
local EXHAUSTED, CLOSED = 6, 7
local LOOK_ALREADY, LOOK_EXHAUSTED, LOOK_CLOSED = 8, 9, 10
local TAIL_MAX = 262144
local VOUCHED_MAX = 2000
local REASONS = {[''] = true, campaign_paused = true, ended = true, held = true}

local elsewhere = over(KEYS[1], ARGV[1])
if elsewhere then return elsewhere end
if not (is(KEYS[2], 'stream') and is(KEYS[3], 'hash') and is(KEYS[4], 'hash') and is(KEYS[5], 'set') and is(KEYS[6], 'stream')) then
  return {'broken'}
end

local now = milliseconds()
local certificate_ms = tonumber(ARGV[3])
local vouched_until = is(KEYS[7], 'hash') and number(redis.call('HGET', KEYS[7], 'vouched_until')) or 0
local vouched = now < vouched_until and vouched_until <= now + VOUCHED_MAX
local room = tonumber(ARGV[2]) - redis.call('XLEN', KEYS[2])

-- Until when a gate gives nothing. Is that further away than any certificate is good for, the clock was set back, and one that
-- was given before may be good for as long as one that is given now.
local function held(gate, field, text)
  local until_ms = number(text) or 0
  if until_ms <= now + certificate_ms then return until_ms end
  redis.call('HSET', gate, field, now + certificate_ms)
  return now + certificate_ms
end

local of_campaigns, of_claims = unpack(cmsgpack.unpack(ARGV[4]))
local campaigns, arg = {}, 1
for i = 1, #of_campaigns / 5 do
  local k = 8 + (i - 1) * 3
  local c = {gate = KEYS[k], users = KEYS[k + 1], marks = KEYS[k + 2], id = of_campaigns[arg], closed = of_campaigns[arg + 1]}
  c.known = of_campaigns[arg + 3]
  if is(c.gate, 'hash') and is(c.users, 'hash') and is(c.marks, 'string') then
    local state = redis.call(
      'HMGET', c.gate, 'free', 'limit', 'closed', 'members', 'held_until', 'seq', 'edition', 'dry', 'dry_until', 'layout',
      'seeding'
    )
    c.free = state[1] == 'unlimited' and math.huge or number(state[1])
    c.limit, c.members, c.dry = number(state[2]), number(state[4]), state[8] == '1'
    c.held_until, c.dry_until = held(c.gate, 'held_until', state[5]), held(c.gate, 'dry_until', state[9])
    c.edition = state[7]
    if c.edition ~= of_campaigns[arg + 2] then c.known = 0 end
    c.moving = state[3] == 'held'
    c.shut = REASONS[state[3]] and state[3] ~= '' and not c.moving
    if c.shut then c.closed = state[3] end
    c.reserved = number(redis.call('HGET', KEYS[4], c.id)) or 0
    -- While it is filled it lacks users, whatever else it is made to say.
    c.warm = c.free and c.limit and REASONS[state[3]] and c.members and number(state[6]) and c.edition and state[8] and not state[11]
      and state[10] == of_campaigns[arg + 4] and redis.call('HLEN', c.users) == c.members and redis.call('STRLEN', c.marks) == 4 * c.members
  end
  if c.warm then
    redis.call('SADD', KEYS[5], c.id)
  else
    redis.call('XADD', KEYS[6], 'MAXLEN', 1000, '*', 'c', c.id)
  end
  c.before = c.reserved
  campaigns[i] = c
  arg = arg + 5
end

-- What is known of the claims, in one look for each kind of key.
local claims, ids, holders, asking = {}, {}, {}, {}
for first = 1, #of_claims, 5 do
  local number_of, id, user, asked, closed = unpack(of_claims, first, first + 4)
  local c = campaigns[number_of]
  local claim = {campaign = c, id = id, user = user, checked = asked % 2 == 1, own_code = asked >= 2}
  claim.closed, claim.entry, claim.holder = closed ~= '', ARGV[5 + #claims], c.id .. claim.user
  claims[#claims + 1] = claim
  ids[#claims], holders[#claims] = claim.id, claim.holder
  if c.warm then
    asking[c] = asking[c] or {}
    table.insert(asking[c], claim)
  end
end

local function values(key, fields)
  local found = {}
  for first = 1, #fields, 1000 do
    local some = redis.call('HMGET', key, unpack(fields, first, math.min(first + 999, #fields)))
    for i, value in ipairs(some) do found[fields[first + i - 1]] = value end
  end
  return found
end

local pending, waiting = values(KEYS[3], ids), values(KEYS[4], holders)
for c, some in pairs(asking) do
  local users = {}
  for i, claim in ipairs(some) do users[i] = claim.user end
  c.held = values(c.users, users)
end

local new_claims, new_waiting, entries = {}, {}, {}

local function decide(claim)
  local c = claim.campaign
  if pending[claim.id] then return PENDING end
  if not c.warm then return COLD end
  local held = c.held[claim.user]
  local others = number(waiting[claim.holder]) or 0
  if claim.closed or c.closed ~= '' then
    -- What the user has in the mailbox may be this very claim, if the name of its reservation was lost: he would win after a no.
    if others > 0 then return WAIT end
    return (held or not vouched) and LOOK_CLOSED or CLOSED
  end
  local has = held and not claim.checked and tonumber(string.match(held, '^(%-?%d+):')) or 0
  if has + others >= c.limit then return others > 0 and WAIT or LOOK_ALREADY end
  if c.moving then return WAIT end
  if c.free - c.reserved <= 0 or (claim.own_code and c.dry) then
    if others > 0 then return WAIT end
    return (held or not vouched) and LOOK_EXHAUSTED or EXHAUSTED
  end
  -- It may be the claim that he had it by: its reservation would say to others that as much less is left.
  if held and not claim.checked then return LOOK_ALREADY end
  if now < c.held_until or (claim.own_code and now < c.dry_until) then return WAIT end
  if room <= 0 then return BUSY end
  room = room - 1
  c.reserved = c.reserved + 1
  pending[claim.id], waiting[claim.holder] = claim.holder, others + 1
  new_claims[#new_claims + 1], new_claims[#new_claims + 2] = claim.id, claim.holder
  new_waiting[claim.holder] = others + 1
  entries[#entries + 1] = claim
  return ADMITTED
end

local verdicts = {}
for i, claim in ipairs(claims) do verdicts[i] = decide(claim) end

local function set(key, pairs)
  for first = 1, #pairs, 1000 do redis.call('HSET', key, unpack(pairs, first, math.min(first + 999, #pairs))) end
end

local counts = {}
for holder, n in pairs(new_waiting) do counts[#counts + 1], counts[#counts + 2] = holder, n end
for _, c in ipairs(campaigns) do
  if c.reserved ~= c.before then counts[#counts + 1], counts[#counts + 2] = c.id, c.reserved end
end
set(KEYS[3], new_claims)
set(KEYS[4], counts)
for _, claim in ipairs(entries) do redis.call('XADD', KEYS[2], '*', 'c', claim.id, 'e', claim.entry) end

local replies = {}
for i, c in ipairs(campaigns) do
  local certified, total, tail = 0, 0, ''
  if c.warm and not c.moving then
    -- What only the caller thinks to be closed is not certified: nobody would know when that ends.
    if vouched and c.reserved == 0 and (c.shut or (c.closed == '' and (c.free <= 0 or c.dry))) then
      certified, total = (c.shut or c.free <= 0) and 1 or 2, 4 * c.members
      if c.known < total then tail = redis.call('GETRANGE', c.marks, c.known, math.min(total, c.known + TAIL_MAX) - 1) end
      -- Until it has run out nothing is given that it says is not: whoever won would be refused where it is still good.
      redis.call('HSET', c.gate, certified == 1 and 'held_until' or 'dry_until', now + certificate_ms)
    end
  end
  replies[i] = {c.closed, certified, c.edition or '', total, tail}
end
return {'ok', verdicts, replies}
