-- purpose: what every script begins with
local function is(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == kind or found == 'none'
end

-- To Lua, "nan" and "inf" are numbers: values that no comparison would ever put right.
local function number(text)
  local n = tonumber(text)
  return n and n > -math.huge and n < math.huge and n or nil
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Which incarnation a pointer names, '' when none.
local function living(pointer)
  return is(pointer, 'string') and redis.call('GET', pointer) or ''
end

-- Why an incarnation is not the living one, as an answer; nil when it is. A life is named after the run of Redis in which it
-- began, and ends with it: what comes back from a copy is the past.
local function over(pointer, incarnation)
  local named = living(pointer)
  if named ~= incarnation then return {'moved', named} end
  -- Found as it stands, it takes half the time that a pattern does: it is looked for in every call.
  local run = 'run_id:' .. string.sub(named, 1, 8)
  if #named < 8 or not string.find(redis.call('INFO', 'server'), run, 1, true) then return {'moved', ''} end
end

