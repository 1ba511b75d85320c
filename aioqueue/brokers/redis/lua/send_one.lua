-- Sends one message that is due, into a queue that is known and has no bound. What `send` does with it, and half of
-- what that takes: the arguments come as they are used, and there is no clock to read.
-- KEYS[1] prefix    ARGV client, number, queue, priority, id, data
-- Returns '1'.
-- D1: once this has answered, the task is in the broker. Repeated with the same number it changes nothing.
-- flags:
-- use: once
-- use: mending
-- use: queue_names
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local before = answered(prefix, client, number)
if before then return before end

local stream = prefix .. 'q:' .. ARGV[3] .. ':' .. ARGV[4]
local entry = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'i', ARGV[5], 'm', ARGV[6])
if not entry then
  note_queue(prefix, stream)
  entry = redis.pcall('XADD', stream, '*', 'i', ARGV[5], 'm', ARGV[6])
end
if type(entry) == 'table' then
  stream = instead_of(stream, entry.err)
  if not stream then return entry end
  note_queue(prefix, stream)
  redis.call('XADD', stream, '*', 'i', ARGV[5], 'm', ARGV[6])
end
return answer(prefix, client, number, '1')
