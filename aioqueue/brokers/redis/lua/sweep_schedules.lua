-- Looks at some schedules, page by page: drops those of programs' code for which no scheduler stands, and sets the index
-- right. In the end what is left of schedulers that are gone is dropped.
-- KEYS[1] prefix    ARGV client, number, clock offset, when the sweep began ('' for its first page), where it is
-- Returns three lines: when it began, where it goes on ('' when it is over), and the names that were dropped, each after its
-- length and a colon. Repeated with the same number it changes nothing.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: once
-- use: schedules
-- use: schedulers
local prefix, client, number, now = KEYS[1], ARGV[1], tonumber(ARGV[2]), clock(tonumber(ARGV[3]))
local before = answered(prefix, client, number)
if before then return before end
local wrong = wrong_kind(prefix, SCHEDULE_KINDS) or wrong_kind(prefix, { schedulers = 'zset' })
if wrong then return wrong end

-- Who was abandoned when it began is so for all pages; who comes meanwhile has not been looked for in those before.
local began = tonumber(ARGV[4]) or now
local phase, cursor = string.match(ARGV[5], '^(%l+) (%d+)$')
local dropped = {}

local function over(position)
  for i, name in ipairs(dropped) do dropped[i] = #name .. ':' .. name end
  if #dropped > 0 then tell_schedulers(prefix) end
  return answer(prefix, client, number, string.format('%.0f\n%s\n', began, position) .. table.concat(dropped))
end

if phase == 'states' then
  local standing = redis.call('ZRANGEBYSCORE', prefix .. 'schedulers', '(' .. string.format('%.0f', began - LIMIT.ABANDONED), '+inf')
  local function is_wanted(name)
    for _, scheduler in ipairs(standing) do
      -- What cannot be looked at may want it.
      if redis.pcall('SISMEMBER', prefix .. 'scheduler:' .. scheduler, declared(name)) ~= 0 then return true end
    end
    return false
  end
  local next_cursor, found = unpack(redis.call('HSCAN', prefix .. 'schedules:state', cursor, 'COUNT', LIMIT.SCHEDULES))
  for i = 1, #found, 2 do
    local name, state = found[i], read_schedule(found[i + 1])
    if state and state[SCHEDULE.source] == SCHEDULE.CODE and not is_wanted(name) then
      drop_schedule(prefix, name)
      dropped[#dropped + 1] = name
    elseif redis.call('ZSCORE', prefix .. 'schedules:due', name) ~= score_of(state) then
      redis.call('ZADD', prefix .. 'schedules:due', score_of(state), name)
    end
  end
  return over(next_cursor == '0' and 'names 0' or 'states ' .. next_cursor)
end

local next_cursor, found = unpack(redis.call('ZSCAN', prefix .. 'schedules:due', cursor, 'COUNT', LIMIT.SCHEDULES))
for i = 1, #found, 2 do
  if redis.call('HEXISTS', prefix .. 'schedules:state', found[i]) == 0 then redis.call('ZREM', prefix .. 'schedules:due', found[i]) end
end
if next_cursor ~= '0' then return over('names ' .. next_cursor) end
for _, scheduler in ipairs(abandoned(prefix, began, LIMIT.VALUES)) do
  redis.call('ZREM', prefix .. 'schedulers', scheduler)
  redis.call('UNLINK', prefix .. 'scheduler:' .. scheduler)
end
return over('')
