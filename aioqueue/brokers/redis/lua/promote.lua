-- Puts messages that are due into their queues, earliest first, and goes on with the work that workflows have left.
-- KEYS[1] prefix    ARGV clock offset, limit
-- Returns {how many, ms until the next is due or -1}.
-- D6: a message leaves the sorted set and enters its stream in one step, whoever asks and how often.
-- flags: allow-oom
-- use: clock
-- use: delayed
-- use: records
-- use: workflow
local prefix = KEYS[1]
local delayed, stored = prefix .. 'delayed', prefix .. 'delayed:data'
local now = clock(tonumber(ARGV[1]))
local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
if #ids > 0 then
  local messages = redis.call('HMGET', stored, unpack(ids))
  redis.call('ZREM', delayed, unpack(ids)) -- the first write: allowed while the broker is out of memory
  redis.call('HDEL', stored, unpack(ids))
  for i, id in ipairs(ids) do
    if messages[i] then
      local queue, priority, data = parts(messages[i])
      if queue then -- else it is not of our making, and must not hold up the others
        uncount(prefix, queue)
        redis.call('XADD', prefix .. 'q:' .. queue .. ':' .. priority, '*', 'i', id, 'm', data)
      end
    end
  end
end
if redis.call('EXISTS', prefix .. 'work') == 1 then
  local flows = workflows(prefix, now, 500)
  flows.resume_work()
  if flows.work() or redis.call('EXISTS', prefix .. 'work') == 1 then return { #ids, 0 } end
end
local head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
return { #ids, head[2] and math.max(0, math.floor(tonumber(head[2]) - now)) or -1 }
