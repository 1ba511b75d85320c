-- Puts a dead letter back into a queue, and drops the record of its end.
-- KEYS[1] prefix    ARGV client, number, id, stream, data
-- Returns '1', or '0' when there is no such letter (any more). Repeated with the same number it changes nothing.
-- flags:
-- use: once
local prefix, client, number, id = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local before = answered(prefix, client, number)
if before then return before end
if redis.call('ZREM', prefix .. 'dead', id) == 0 then return answer(prefix, client, number, '0') end
redis.call('HDEL', prefix .. 'dead:data', id)
redis.call('DEL', prefix .. 'r:' .. id)
redis.call('ZREM', prefix .. 'revoked', id)
redis.call('XADD', prefix .. ARGV[4], '*', 'i', id, 'm', ARGV[5])
return answer(prefix, client, number, '1')
