-- What is due of the schedules, the earliest first.
-- KEYS[1] prefix    ARGV clock offset, at most so many, how many of the earliest are passed over
-- Returns {those that are due, when the first after them is or '', what time it is}; of each its name, state, definition, and
-- '', or why it cannot be read. What it gives is bounded by its weight, too.
-- D12: one that cannot be read is set aside; it is due no more, so that it is no hindrance to others.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: cargo
-- use: schedules
local prefix, now, limit, skip = KEYS[1], clock(tonumber(ARGV[1])), tonumber(ARGV[2]), tonumber(ARGV[3])
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
if wrong then return wrong end
local due, found, passed, cargo = prefix .. 'schedules:due', {}, skip, a_cargo()
for _, name in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', skip, limit)) do
  if cargo.left <= 0 then break end
  local packed = redis.call('HGET', prefix .. 'schedules:state', name)
  local definition = redis.call('HGET', prefix .. 'schedules', name)
  local state = read_schedule(packed)
  local why = trouble_of(packed, state, definition)
  cargo.left = cargo.left - #(packed or '') - #(definition or '')
  if not packed then
    redis.call('ZREM', due, name)
  elseif why ~= '' then
    redis.call('ZADD', due, NEVER, name)
  elseif score_of(state) == NEVER or state[SCHEDULE.at] > now then -- somebody has moved it
    redis.call('ZADD', due, score_of(state), name)
    packed = nil
  else
    passed = passed + 1
  end
  if packed or why ~= '' then found[#found + 1] = { name, packed or '', definition or '', why } end
end
local first = redis.call('ZRANGE', due, passed, passed, 'WITHSCORES')[2]
return { found, first and tonumber(first) < math.huge and first or '', now }
