-- Schedulers. The sorted set `schedulers` has them by the end of their lease, which is 0 for one that is gone in good order;
-- `scheduler:<id>` the names that one has declared, each after a sign, and an empty one, which says that it has declared; and
-- `schedulers:leader` the one that leads, for as long as its lease holds.
local function declared(name) return '=' .. name end

local function end_of(prefix, scheduler) return tonumber(redis.call('ZSCORE', prefix .. 'schedulers', scheduler) or 0) end

local function live(prefix, scheduler, until_when)
  redis.call('ZADD', prefix .. 'schedulers', string.format('%.0f', until_when), scheduler)
end

-- Whose leases have ended so long before that they stand for nothing any more.
local function abandoned(prefix, now, limit)
  return redis.call('ZRANGEBYSCORE', prefix .. 'schedulers', '-inf', string.format('%.0f', now - LIMIT.ABANDONED), 'LIMIT', 0, limit)
end
