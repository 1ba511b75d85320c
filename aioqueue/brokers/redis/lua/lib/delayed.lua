-- What `enqueue` put among the delayed, read apart again.
local function parts(stored)
  return string.match(stored, '^([^\n]*)\n([^\n]*)\n(.*)$')
end

local function uncount(prefix, queue)
  if redis.call('HINCRBY', prefix .. 'delayed:count', queue, -1) <= 0 then
    redis.call('HDEL', prefix .. 'delayed:count', queue)
  end
end
