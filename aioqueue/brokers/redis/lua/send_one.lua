-- Sends one message that is due, into a queue that is known and has no bound. What `send` does with it, and half of
-- what that takes: the arguments come as they are used, and there is no clock to read.
-- KEYS[1] prefix    ARGV client, number, queue, priority, id, data
-- Returns '1'.
-- D1: once this has answered, the task is in the broker. Repeated with the same number it changes nothing.
-- flags:
-- use: once
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local before = answered(prefix, client, number)
if before then return before end

redis.call('XADD', prefix .. 'q:' .. ARGV[3] .. ':' .. ARGV[4], '*', 'i', ARGV[5], 'm', ARGV[6])
return answer(prefix, client, number, '1')
