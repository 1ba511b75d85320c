-- Hands back to the queues what workers held whose lease has ended, a bounded number at a time.
-- KEYS[1] prefix    ARGV worker that asks, ms of the lease, clock offset, limit, 1 to look for strays as well, when
--   its own lease ends as far as it knows, names of its queues
-- Returns {entries moved, 1 if there is more, ms until the next lease ends or -1, why something could not be moved or ''}:
-- that stays where it is, and so does the name of its worker, until the streams take it.
-- D3: whoever's own lease has ended, or has been extended without its knowing it, was cut off from the broker until
-- now. It may not have been alone, so it asks again when it knows more.
-- D4: found within the second in which the lease ends. D2: a worker that has fallen stays so under that name.
-- flags: allow-oom
-- use: clock
-- use: epoch
-- use: kinds
-- use: streams
-- use: mending
-- use: early
-- use: cargo
-- use: hand_back
local prefix, me, timeout = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now, left = clock(tonumber(ARGV[3])), tonumber(ARGV[4])
local leases, fallen = prefix .. 'leases', prefix .. 'fallen'

-- All that are known of, those of the workers in question included: the names may have been lost.
local function streams_of_all_queues(fallen)
  local streams, queues = {}, {}
  for _, queue in ipairs(redis.call('SMEMBERS', prefix .. 'queues')) do queues[queue] = true end
  for i = 7, #ARGV do queues[ARGV[i]] = true end
  for _, worker in ipairs(fallen) do
    local said = redis.call('HGET', prefix .. 'workers', worker)
    local readable, about = pcall(cmsgpack.unpack, said or '')
    if readable and type(about) == 'table' and type(about.queues) == 'table' then
      for _, queue in ipairs(about.queues) do
        if type(queue) == 'string' then queues[queue] = true end
      end
    end
  end
  for queue in pairs(queues) do
    for _, stream in ipairs(streams_of(prefix, queue)) do table.insert(streams, stream) end
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

local wrong = wrong_kind(prefix, { leases = 'zset', fallen = 'set', workers = 'hash', queues = 'set', epoch = 'hash' })
if wrong then return wrong end
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
        redis.call('SADD', fallen, worker)
        redis.call('ZREM', leases, worker)
      end
    end
    look_at_leases()
  end
end

local streams
if ARGV[5] == '1' then
  -- Consumers without a lease that hold something: of workers that read on while they fell.
  streams = streams_of_all_queues({})
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

local moved, problem, cargo = 0, nil, a_cargo()
local looked = redis.call('SRANDMEMBER', fallen, 10)
if #looked > 0 then streams = streams_of_all_queues(looked) end
for _, worker in ipairs(looked) do
  local early, unread = early_of(prefix, worker)
  local rest = unread ~= nil
  problem = problem or unread
  for _, stream in ipairs(unread and {} or streams) do
    if left <= 0 then rest = true break end
    local entries, wrong = held(stream, worker, left)
    left = left - #entries
    local went, why, more = hand_back(stream, worker, entries, true, early, cargo)
    moved = moved + went
    if wrong or why then rest, problem = true, problem or wrong or why end
    if more then left = 0 end
    if left <= 0 then rest = true break end -- this one may hold more, and so may the last
  end
  if not rest then
    -- Nothing is pending for it any more, so its consumers can go: that would lose what was.
    for _, stream in ipairs(streams) do redis.pcall('XGROUP', 'DELCONSUMER', stream, 'workers', worker) end
    redis.call('DEL', prefix .. 'early:' .. worker)
    redis.call('SREM', fallen, worker)
    redis.call('HDEL', prefix .. 'workers', worker)
  end
end
return { moved, redis.call('SCARD', fallen) > 0 and 1 or 0, next_end, problem or '' }
