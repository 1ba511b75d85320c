-- The schedules of a program's code, for which a scheduler stands from now on. Repeated it changes nothing.
-- KEYS[1] prefix    ARGV clock offset, scheduler, ms for which it is alive at least, and of each: name, state, definition
-- Returns the names of those that are left alone, for another than the code has put them there.
-- flags:
-- use: clock
-- use: kinds
-- use: schedules
-- use: schedulers
local prefix, scheduler, now = KEYS[1], ARGV[2], clock(tonumber(ARGV[1]))
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
  or wrong_kind(prefix, { schedulers = 'zset', ['scheduler:' .. scheduler] = 'set' })
if wrong then return wrong end
live(prefix, scheduler, math.max(now + tonumber(ARGV[3]), end_of(prefix, scheduler)))
local left_alone, names, changed = {}, { '' }, false
for i = 4, #ARGV, 3 do
  local name, definition = ARGV[i], ARGV[i + 2]
  local known = read_schedule(redis.call('HGET', prefix .. 'schedules:state', name))
  names[#names + 1] = declared(name)
  if known and known[SCHEDULE.source] ~= SCHEDULE.CODE then
    left_alone[#left_alone + 1] = name
  elseif not known or redis.call('HGET', prefix .. 'schedules', name) ~= definition then
    define_schedule(prefix, now, name, ARGV[i + 1], definition, known)
    changed = true
  end
end
redis.call('SADD', prefix .. 'scheduler:' .. scheduler, unpack(names))
if changed then tell_schedulers(prefix) end
return left_alone
