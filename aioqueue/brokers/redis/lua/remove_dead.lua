-- Drops dead letters.
-- KEYS[1] prefix    ARGV client, number, ids
-- Returns how many there were, as text. Repeated with the same number it changes nothing.
-- flags: allow-oom
-- use: kinds
-- use: once
-- use: dead
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local before = answered(prefix, client, number)
if before then return before end
local wrong = wrong_kind(prefix, DEAD_KINDS)
if wrong then return wrong end
local removed = redis.call('ZREM', prefix .. 'dead', unpack(ARGV, 3))
redis.call('HDEL', prefix .. 'dead:data', unpack(ARGV, 3))
return answer(prefix, client, number, tostring(removed))
