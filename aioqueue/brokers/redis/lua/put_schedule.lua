-- Adds a schedule, or takes the place of the one of that name; that it is paused, and what is counted of it, stays.
-- KEYS[1] prefix    ARGV client, number, clock offset, replace 0|1, name, state, definition
-- Returns '1', or '0' when the name is taken. Repeated with the same number it changes nothing.
-- flags:
-- use: clock
-- use: kinds
-- use: once
-- use: schedules
local prefix, client, number, name = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[5]
local before = answered(prefix, client, number)
if before then return before end
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
if wrong then return wrong end
local packed = redis.call('HGET', prefix .. 'schedules:state', name)
if packed and ARGV[4] ~= '1' then return answer(prefix, client, number, '0') end
define_schedule(prefix, clock(tonumber(ARGV[3])), name, ARGV[6], ARGV[7], read_schedule(packed))
tell_schedulers(prefix)
return answer(prefix, client, number, '1')
