-- Drops a schedule, and a claim of it changes nothing any more.
-- KEYS[1] prefix    ARGV client, number, name
-- Returns '1', or '0' when there is none. Repeated with the same number it changes nothing.
-- flags: allow-oom
-- use: kinds
-- use: once
-- use: schedules
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local before = answered(prefix, client, number)
if before then return before end
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
if wrong then return wrong end
if not drop_schedule(prefix, ARGV[3]) then return answer(prefix, client, number, '0') end
tell_schedulers(prefix)
return answer(prefix, client, number, '1')
