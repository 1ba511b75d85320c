-- Puts messages into their streams, or among the delayed when they are not due yet.
-- A message is {id, queue, priority, index of its data in ARGV, due or 0, delay or 0}.
-- Delayed: a sorted set of ids by due time, a hash id -> "queue\npriority\ndata", and a count for each queue.
local function enqueue(prefix, now, messages)
  local earliest
  for _, message in ipairs(messages) do
    local id, queue, priority, data = message[1], message[2], message[3], ARGV[message[4]]
    local due = message[5]
    if message[6] > 0 then due = now + message[6] end
    if due > now then
      if redis.call('ZADD', prefix .. 'delayed', due, id) == 0 then
        uncount(prefix, (parts(redis.call('HGET', prefix .. 'delayed:data', id) or queue .. '\n\n')))
      end
      redis.call('HINCRBY', prefix .. 'delayed:count', queue, 1)
      redis.call('HSET', prefix .. 'delayed:data', id, queue .. '\n' .. priority .. '\n' .. data)
      if not earliest or due < earliest then earliest = due end
    else
      redis.call('XADD', prefix .. 'q:' .. queue .. ':' .. priority, '*', 'i', id, 'm', data)
    end
  end
  if earliest then
    local head = redis.call('ZRANGE', prefix .. 'delayed', 0, 0, 'WITHSCORES')
    if head[2] and tonumber(head[2]) >= earliest then
      redis.pcall('PUBLISH', prefix .. 'notices', 'due')
    end
  end
end
