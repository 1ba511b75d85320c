-- A scheduler is gone in good order: another one leads, and what it alone has declared is dropped by the next sweep.
-- KEYS[1] prefix    ARGV scheduler
-- Returns nothing. Repeated it changes nothing.
-- flags: allow-oom
-- use: kinds
-- use: schedules
-- use: schedulers
local prefix, scheduler = KEYS[1], ARGV[1]
local wrong = wrong_kind(prefix, { schedulers = 'zset' })
if wrong then return wrong end
if end_of(prefix, scheduler) == 0 then return end
live(prefix, scheduler, 0)
redis.call('UNLINK', prefix .. 'scheduler:' .. scheduler)
if redis.pcall('GET', prefix .. 'schedulers:leader') == scheduler then redis.call('DEL', prefix .. 'schedulers:leader') end
tell_schedulers(prefix)
