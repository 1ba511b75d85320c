-- Stores a part of a workflow, and with the last one begins it.
-- KEYS[1] prefix    ARGV[1] plan {client, number, clock offset, workflow, ms to keep what is never begun, counts, start or 0}
--   counts are {join, for how many ends it waits}
--   start is {end, total, open, ms to keep, names of nodes, 1 to hold it, queues {name, tasks}, most messages in a queue or 0}
-- ARGV[2..] fields of the workflow and their values
-- Returns '1' stored, 'f' refused because a queue is full: then this part is not there, and may come again.
-- D1: all of a workflow exists, or none. Repeated with the same number it changes nothing.
-- flags:
-- use: clock
-- use: once
-- use: records
-- use: delayed
-- use: lengths
-- use: workflow
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local client, number, offset, wid, hold, counts, start = unpack(plan, 1, 7)

local before = answered(prefix, client, number)
if before then return before end

local now = clock(offset)
local key, states, values = kept(prefix, wid)
if start ~= 0 and start[8] > 0 and not fit(prefix, start[7], start[8]) then
  return answer(prefix, client, number, 'f')
end
for at = 2, #ARGV, 1000 do redis.call('HSET', key, unpack(ARGV, at, math.min(#ARGV, at + 999))) end
for _, count in ipairs(counts) do redis.call('HSET', states, 'c' .. count[1], count[2]) end
if start ~= 0 then
  local finish, total, open, keep, names, held, queues = unpack(start, 1, 7)
  redis.call('HSET', key, 'end', finish, 'total', total, 'keep', keep)
  redis.call('HSET', states, 'open', open)
  if next(names) then redis.call('HSET', key, 'names', cmsgpack.pack(names)) end
  for queue in pairs(queues) do redis.call('SADD', prefix .. 'queues', queue) end
  if held == 0 then
    local flows = workflows(prefix, now, 500)
    flows.start(wid)
    flows.work()
    return answer(prefix, client, number, '1')
  end
end
redis.call('PEXPIRE', key, hold)
redis.call('PEXPIRE', states, hold)
return answer(prefix, client, number, '1')
