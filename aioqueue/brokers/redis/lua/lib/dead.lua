-- Dead letters: a sorted set of ids by when they came, which a counter tells, and a hash of what is kept of each.
local DEAD_KINDS = { dead = 'zset', ['dead:data'] = 'hash' }

local function keep_dead(prefix, id, letter)
  local number = redis.pcall('INCR', prefix .. 'dead:count')
  if type(number) == 'table' then -- no number of ours
    local last = redis.call('ZRANGE', prefix .. 'dead', -1, -1, 'WITHSCORES')
    number = tonumber(last[2] or 0) + 1
    redis.call('SET', prefix .. 'dead:count', string.format('%d', number))
  end
  redis.call('ZADD', prefix .. 'dead', number, id)
  redis.call('HSET', prefix .. 'dead:data', id, letter)
end
