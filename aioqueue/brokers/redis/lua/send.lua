-- Sends messages: all of a group or none of it.
-- KEYS[1] prefix    ARGV[1] plan {client, number, clock offset, new queue names, groups}
--   a group is {most messages in a queue or 0, messages}
-- ARGV[2..] the messages' data
-- Returns a letter per group: '1' sent, 'f' refused because a queue of it is full.
-- D1: once this has answered, the tasks are in the broker. Repeated with the same number it changes nothing.
-- flags:
-- use: clock
-- use: once
-- use: delayed
-- use: enqueue
-- use: lengths
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local client, number, offset, queues, groups = unpack(plan, 1, 5)

local before = answered(prefix, client, number)
if before then return before end

local lengths = {}
local function fits(group, max_length)
  local more = {}
  for _, message in ipairs(group) do more[message[2]] = (more[message[2]] or 0) + 1 end
  for queue, count in pairs(more) do
    lengths[queue] = lengths[queue] or length_of(prefix, queue)
    if lengths[queue] + count > max_length then return false end
  end
  for queue, count in pairs(more) do lengths[queue] = lengths[queue] + count end
  return true
end

local now, letters = clock(offset), {}
for i, group in ipairs(groups) do
  if group[1] > 0 and not fits(group[2], group[1]) then
    letters[i] = 'f'
  else
    enqueue(prefix, now, group[2])
    letters[i] = '1'
  end
end
if #queues > 0 then redis.call('SADD', prefix .. 'queues', unpack(queues)) end
return answer(prefix, client, number, table.concat(letters))
