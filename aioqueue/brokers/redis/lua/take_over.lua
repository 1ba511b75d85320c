-- Hands back to the queues what workers held whose lease has ended, a bounded number at a time.
-- KEYS[1] prefix    ARGV worker that asks, ms of the lease, clock offset, limit, 1 to look for strays as well, when
--   its own lease ends as far as it knows
-- Returns {entries moved, 1 if there is more, ms until the next lease ends or -1}.
-- D3: whoever's own lease has ended, or has been extended without its knowing it, was cut off from the broker until
-- now. It may not have been alone, so it asks again when it knows more.
-- D4: found within the second in which the lease ends. D2: a worker that has fallen stays so under that name.
-- flags: allow-oom
-- use: clock
-- use: epoch
-- use: hand_back
local prefix, me, timeout = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now, left = clock(tonumber(ARGV[3])), tonumber(ARGV[4])
local leases, fallen = prefix .. 'leases', prefix .. 'fallen'

local function streams_of_all_queues()
  local streams = {}
  for _, queue in ipairs(redis.call('SMEMBERS', prefix .. 'queues')) do
    table.insert(streams, prefix .. 'q:' .. queue .. ':front')
    for priority = 0, 9 do table.insert(streams, prefix .. 'q:' .. queue .. ':' .. priority) end
  end
  return streams
end

local next_end = -1
local function look_at_leases()
  local first = redis.call('ZRANGE', leases, 0, 1, 'WITHSCORES')
  for i = 1, #first, 2 do
    if first[i] ~= me then
      next_end = math.max(0, tonumber(first[i + 1]) - now)
      return
    end
  end
end

local mine = tonumber(redis.call('ZSCORE', leases, me) or 0)
look_at_leases()
if next_end == 0 and (mine <= now or mine ~= tonumber(ARGV[6])) then
  next_end = 50
elseif next_end == 0 then
  local truce = note_epoch(prefix, now, timeout)
  if truce > now then
    next_end = truce - now
  else
    for _, worker in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 10)) do
      if worker ~= me then
        redis.call('ZREM', leases, worker)
        redis.call('SADD', fallen, worker)
      end
    end
    look_at_leases()
  end
end

local streams
if ARGV[5] == '1' then
  -- Consumers without a lease that hold something: of workers that read on while they fell.
  streams = streams_of_all_queues()
  for _, stream in ipairs(streams) do
    local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'workers')
    if not consumers.err then
      for _, consumer in ipairs(consumers) do
        local about = {}
        for i = 1, #consumer, 2 do about[consumer[i]] = consumer[i + 1] end
        if not redis.call('ZSCORE', leases, about.name) then
          if about.pending > 0 then
            redis.call('SADD', fallen, about.name)
          else
            redis.call('XGROUP', 'DELCONSUMER', stream, 'workers', about.name)
          end
        end
      end
    end
  end
end

local moved = 0
for _, worker in ipairs(redis.call('SRANDMEMBER', fallen, 10)) do
  streams = streams or streams_of_all_queues()
  local rest = false
  for _, stream in ipairs(streams) do
    if left <= 0 then rest = true break end
    local entries = held(stream, worker, left)
    left = left - #entries
    moved = moved + hand_back(stream, worker, entries, true)
    if left <= 0 then rest = true break end -- this one may hold more, and so may the last
  end
  if not rest then
    -- Nothing is pending for it any more, so its consumers can go: that would lose what was.
    for _, stream in ipairs(streams) do redis.pcall('XGROUP', 'DELCONSUMER', stream, 'workers', worker) end
    redis.call('SREM', fallen, worker)
    redis.call('HDEL', prefix .. 'workers', worker)
  end
end
return { moved, redis.call('SCARD', fallen) > 0 and 1 or 0, next_end }
