-- Messages that wait for their time: a sorted set of ids by due time, a hash id -> "queue\npriority\ndata", and a count for
-- each queue.
local function parts(stored)
  return string.match(stored, '^([^\n]*)\n([^\n]*)\n(.*)$')
end

local function uncount(prefix, queue)
  if redis.call('HINCRBY', prefix .. 'delayed:count', queue, -1) <= 0 then
    redis.call('HDEL', prefix .. 'delayed:count', queue)
  end
end

local function delay(prefix, id, queue, priority, data, due)
  if redis.call('ZADD', prefix .. 'delayed', due, id) == 0 then
    uncount(prefix, (parts(redis.call('HGET', prefix .. 'delayed:data', id) or queue .. '\n\n')))
  end
  redis.call('HINCRBY', prefix .. 'delayed:count', queue, 1)
  redis.call('HSET', prefix .. 'delayed:data', id, queue .. '\n' .. priority .. '\n' .. data)
end

-- Takes one out before its time. Returns whether it was there.
local function undelay(prefix, id)
  if redis.call('ZREM', prefix .. 'delayed', id) == 0 then return false end
  local message = redis.call('HGET', prefix .. 'delayed:data', id)
  if message then uncount(prefix, (parts(message))) end
  redis.call('HDEL', prefix .. 'delayed:data', id)
  return true
end

-- Tells the workers when something is due earlier than anything before it.
local function announce(prefix, due)
  local head = redis.call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')
  if head[2] and tonumber(head[2]) >= due then redis.pcall('PUBLISH', prefix .. 'notices', 'due') end
end
