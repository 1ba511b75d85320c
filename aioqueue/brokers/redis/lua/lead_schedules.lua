-- A scheduler is alive for a while, and leads if nobody else does.
-- KEYS[1] prefix    ARGV clock offset, scheduler, ms for which it is alive from now on
-- Returns {1 if it leads, else ms until the lease of the one that does ends, 1 if it has declared what it stands for, 1 if
-- there is something to be swept}. The same once more is the same.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: schedulers
local prefix, now, scheduler = KEYS[1], clock(tonumber(ARGV[1])), ARGV[2]
local wrong = wrong_kind(prefix, { schedulers = 'zset' })
if wrong then return wrong end
local known = redis.call('EXISTS', prefix .. 'scheduler:' .. scheduler)
live(prefix, scheduler, now + tonumber(ARGV[3]))

local leader, wait = redis.pcall('GET', prefix .. 'schedulers:leader'), 0
if type(leader) == 'string' and leader ~= scheduler then wait = math.max(0, math.ceil(end_of(prefix, leader) - now)) end
if wait > LIMIT.LEASE then wait = 0 end
if wait == 0 and leader ~= scheduler then redis.call('SET', prefix .. 'schedulers:leader', scheduler) end

local states, names = redis.pcall('HLEN', prefix .. 'schedules:state'), redis.pcall('ZCARD', prefix .. 'schedules:due')
local differ = type(states) == 'number' and type(names) == 'number' and states ~= names
local untidy = differ or #abandoned(prefix, now, 1) > 0
return { wait == 0 and 1 or 0, wait, known, untidy and 1 or 0 }
