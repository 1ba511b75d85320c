-- Schedules. The hash `schedules` has the definition of each by its name; `schedules:state` all that becomes of it, in
-- msgpack, see schedule_state.py; and the sorted set `schedules:due` all names by when they are to be sent, those that wait
-- for nothing last. So the earliest are found however many there are, and a count tells whether a name is missing.
local NEVER = '+inf'
local SCHEDULE_KINDS = { schedules = 'hash', ['schedules:state'] = 'hash', ['schedules:due'] = 'zset' }

local function is_whole(value) return type(value) == 'number' and value % 1 == 0 and math.abs(value) < 2 ^ 53 end
local function is_moment(value) return value == false or is_whole(value) end

-- Whether Python reads it as text, too: UTF-8.
local function is_text(value)
  if type(value) ~= 'string' then return false end
  if not string.find(value, '[\128-\255]') then return true end
  for _, letter in ipairs({
    '[\194-\223][\128-\191]', '\224[\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
    '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
    '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
  }) do
    value = string.gsub(value, letter, '?')
  end
  return not string.find(value, '[\128-\255]')
end

local function are_texts(values)
  if type(values) ~= 'table' then return false end
  for place, value in pairs(values) do
    if not is_whole(place) or place > #values or not is_text(value) then return false end
  end
  return true
end

-- The state of a schedule, or nil if it cannot be read.
local function read_schedule(packed)
  local read = { pcall(cmsgpack.unpack, packed or '') }
  local readable, state = read[1], read[2]
  if not readable or #read ~= 2 or type(state) ~= 'table' then return nil end
  if is_text(state[SCHEDULE.source])
    and is_moment(state[SCHEDULE.due]) and is_moment(state[SCHEDULE.at]) and is_moment(state[SCHEDULE.last_due])
    and type(state[SCHEDULE.paused]) == 'boolean' and is_text(state[SCHEDULE.last_id]) and are_texts(state[SCHEDULE.recent])
    and is_whole(state[SCHEDULE.runs]) and is_whole(state[SCHEDULE.misfires]) and is_whole(state[SCHEDULE.revision]) then
    return state
  end
end

-- Why a schedule cannot be read of what is stored of it, or ''.
local function trouble_of(packed, state, definition)
  if not packed then return 'nothing is stored of it' end
  if not state then return 'what is stored of it cannot be read' end
  return definition and '' or 'its definition is lost'
end

-- When it is to be sent, as a score: never, if it is paused or cannot be read.
local function score_of(state)
  if not state or state[SCHEDULE.paused] or not state[SCHEDULE.at] then return NEVER end
  return string.format('%.0f', state[SCHEDULE.at])
end

local function keep_state(prefix, name, state)
  redis.call('HSET', prefix .. 'schedules:state', name, cmsgpack.pack(state))
  redis.call('ZADD', prefix .. 'schedules:due', score_of(state), name)
end

-- A number that no other change has: claims are for one. It begins with the time, so that none comes again either where it
-- was lost.
local function next_revision(prefix, now)
  local number = redis.pcall('INCR', prefix .. 'schedules:revision')
  if not is_whole(number) or number < 2 ^ 40 then
    number = now
    redis.call('SET', prefix .. 'schedules:revision', string.format('%.0f', number))
  end
  return number
end

-- A schedule is changed, as is said; of one that is there already what has become of it stays.
local function define_schedule(prefix, now, name, given, definition, known)
  local state = cmsgpack.unpack(given)
  if known then
    known[SCHEDULE.source], known[SCHEDULE.due], known[SCHEDULE.at] = state[SCHEDULE.source], state[SCHEDULE.due], state[SCHEDULE.at]
    state = known
  end
  state[SCHEDULE.revision] = next_revision(prefix, now)
  redis.call('HSET', prefix .. 'schedules', name, definition)
  keep_state(prefix, name, state)
end

-- Returns whether there was one.
local function drop_schedule(prefix, name)
  redis.call('HDEL', prefix .. 'schedules', name)
  redis.call('ZREM', prefix .. 'schedules:due', name)
  return redis.call('HDEL', prefix .. 'schedules:state', name) == 1
end

-- Tells the schedulers.
local function tell_schedulers(prefix) redis.pcall('PUBLISH', prefix .. 'schedules:changes', '') end
