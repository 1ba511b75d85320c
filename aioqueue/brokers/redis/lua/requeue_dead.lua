-- Puts a dead letter back into a queue, and drops the record of its end.
-- KEYS[1] prefix    ARGV client, number, id, stream, data, and of an id that was its sender's own: what is called, queue
-- Returns '1', or '0' when there is no such letter (any more), or 'd' when its id is another task's by now. Repeated with the same number it changes nothing.
-- flags:
-- use: kinds
-- use: once
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: streams
-- use: own_ids
-- use: dead
local prefix, client, number, id = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local before = answered(prefix, client, number)
if before then return before end
if not redis.call('ZSCORE', prefix .. 'dead', id) then return answer(prefix, client, number, '0') end
local wrong = wrong_kind(prefix, DEAD_KINDS) or wrong_kind(prefix, { revoked = 'zset' })

local own, call, queue = ARGV[6] ~= nil, ARGV[6], ARGV[7]
if own and not wrong then
  local kinds = {}
  own_kinds(kinds, id)
  wrong = wrong_kind(prefix, kinds)
  if not wrong and holder(prefix, id) then return answer(prefix, client, number, 'd') end
end
wrong = wrong or adding().add(prefix .. ARGV[4], id, ARGV[5])
if wrong then return wrong end
redis.call('ZREM', prefix .. 'dead', id)
redis.call('HDEL', prefix .. 'dead:data', id)
redis.call('DEL', prefix .. 'r:' .. id)
redis.call('ZREM', prefix .. 'revoked', id)
if own then
  redis.call('DEL', prefix .. 'wf:at:' .. id)
  note_own(prefix, id, 'w', call, queue, 0)
end
return answer(prefix, client, number, '1')
