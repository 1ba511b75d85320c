-- Puts a dead letter back into a queue, and drops the record of its end.
-- KEYS[1] prefix    ARGV id, stream, data
-- Returns 1, or 0 when there is no such letter (any more).
local prefix, id = KEYS[1], ARGV[1]
if redis.call('ZREM', prefix .. 'dead', id) == 0 then return 0 end
redis.call('HDEL', prefix .. 'dead:data', id)
redis.call('DEL', prefix .. 'r:' .. id)
redis.call('ZREM', prefix .. 'revoked', id)
redis.call('XADD', prefix .. ARGV[2], '*', 'i', id, 'm', ARGV[3])
return 1
