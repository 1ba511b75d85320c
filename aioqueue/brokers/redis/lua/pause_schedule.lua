-- Pauses a schedule, or resumes it.
-- KEYS[1] prefix    ARGV client, number, clock offset, name, pause 1|0, and for one that is resumed its next due time and when
--   that is to be sent, or '' for never; the revision that it has to have, or ''
-- Returns '1', or '0' when there is none (or another one). Repeated with the same number it changes nothing; and so does
-- pausing what is paused, or resuming what is not.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: once
-- use: schedules
local prefix, client, number, name, pause = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5] == '1'
local before = answered(prefix, client, number)
if before then return before end
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
if wrong then return wrong end
local packed = redis.call('HGET', prefix .. 'schedules:state', name)
if not packed then return answer(prefix, client, number, '0') end
local state = read_schedule(packed)
if not state then
  return redis.error_reply('REFUSED what is stored of this schedule cannot be read; add it anew, or remove it')
end
local revision = tonumber(ARGV[8])
if revision and revision ~= state[SCHEDULE.revision] then return answer(prefix, client, number, '0') end
if state[SCHEDULE.paused] ~= pause then
  state[SCHEDULE.paused] = pause
  if not pause then state[SCHEDULE.due], state[SCHEDULE.at] = tonumber(ARGV[6]) or false, tonumber(ARGV[7]) or false end
  state[SCHEDULE.revision] = next_revision(prefix, clock(tonumber(ARGV[3])))
  keep_state(prefix, name, state)
  tell_schedulers(prefix)
end
return answer(prefix, client, number, '1')
