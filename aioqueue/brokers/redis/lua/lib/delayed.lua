-- Messages that wait for their time: a sorted set of ids by due time, a hash id -> "queue\npriority\ndata", and a count for
-- each queue.
local function parts(stored)
  return string.match(stored, '^([^\n]*)\n([^\n]*)\n(.*)$')
end

-- How many of a queue wait. What was written there by others, so that it cannot be counted on, begins anew.
local function count(prefix, queue, by)
  local many = redis.pcall('HINCRBY', prefix .. 'delayed:count', queue, by)
  if type(many) == 'table' or many <= 0 then redis.pcall('HDEL', prefix .. 'delayed:count', queue) end
end

local function uncount(prefix, queue) count(prefix, queue, -1) end

local function delay(prefix, id, queue, priority, data, due)
  if redis.call('ZADD', prefix .. 'delayed', due, id) == 0 then
    uncount(prefix, (parts(redis.call('HGET', prefix .. 'delayed:data', id) or queue .. '\n\n')) or queue)
  end
  count(prefix, queue, 1)
  redis.call('HSET', prefix .. 'delayed:data', id, queue .. '\n' .. priority .. '\n' .. data)
end

-- Takes one out before its time. Returns whether it was there.
local function undelay(prefix, id)
  if redis.call('ZREM', prefix .. 'delayed', id) == 0 then return false end
  local message = redis.call('HGET', prefix .. 'delayed:data', id)
  local queue = message and parts(message)
  if queue then uncount(prefix, queue) end
  redis.call('HDEL', prefix .. 'delayed:data', id)
  return true
end

-- Tells the workers when something is due earlier than anything before it.
local function announce(prefix, due)
  local head = redis.call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')
  if head[2] and tonumber(head[2]) >= due then redis.pcall('PUBLISH', prefix .. 'notices', NOTICE.Due) end
end
