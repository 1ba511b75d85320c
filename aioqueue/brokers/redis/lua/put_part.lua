-- Stores a part of a workflow, and with the last one begins it.
-- KEYS[1] prefix    ARGV[1] plan (PUT_PART, in `plans.py`, with its rows: COUNT, START)
-- ARGV[2..] fields of the workflow and their values
-- Returns '1' stored, 'f' and a queue that is full: then this part is not there, and may come again; 'd' and a name
-- that is that of another call; 's' and the workflow that is this same call, which goes on.
-- D1: all of a workflow exists, or none. Repeated with the same number it changes nothing.
-- flags:
-- use: clock
-- use: kinds
-- use: once
-- use: records
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: streams
-- use: own_ids
-- use: lengths
-- use: cargo
-- use: workflow
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local client, number, wid = plan[PUT_PART.client], plan[PUT_PART.number], plan[PUT_PART.workflow]
local hold, start = plan[PUT_PART.hold], plan[PUT_PART.start] ~= 0 and plan[PUT_PART.start]

local before = answered(prefix, client, number)
if before then return before end

local now = clock(plan[PUT_PART.offset])
local key, states, values = kept(prefix, wid)
local names = 'wf:' .. wid
local wrong = wrong_kind(prefix, { queues = 'set', [names] = 'hash', [names .. ':s'] = 'hash', [names .. ':v'] = 'hash' })
if wrong then return wrong end
local claims, call = start and start[START.claims] or {}, start and start[START.call] or ''
if #claims > 0 then
  local kinds = {}
  for _, name in ipairs(claims) do own_kinds(kinds, name) end
  wrong = wrong_kind(prefix, kinds)
  if wrong then return wrong end
  local same, other
  for _, name in ipairs(claims) do
    local held, flow = holder(prefix, name)
    if held and flow and call ~= '' and held == call then same = flow else other = other or held and name end
  end
  if other then return answer(prefix, client, number, 'd' .. other) end
  if same then return answer(prefix, client, number, 's' .. same) end
end
local full = start and start[START.most] ~= 0 and without_room(prefix, start[START.queues], start[START.most])
if full then return answer(prefix, client, number, 'f' .. full) end
-- One that is held may never begin: it may be of a run that was taken for dead, and another run has ended what is called so.
for _, name in ipairs(start and start[START.held] == 0 and claims or {}) do
  claim(prefix, name)
  redis.call('DEL', prefix .. 'sent:' .. name)
end
for at = 2, #ARGV, LIMIT.VALUES do redis.call('HSET', key, unpack(ARGV, at, math.min(#ARGV, at + LIMIT.VALUES - 1))) end
for at = 3, #ARGV, 2 do
  if #ARGV[at] > LIMIT.HEAVY then
    redis.call('HSET', states, 'heavy', 1)
    break
  end
end
for _, count in ipairs(plan[PUT_PART.counts]) do redis.call('HSET', states, 'c' .. count[COUNT.join], count[COUNT.ends]) end
if start then
  local finish, total, open, keep = start[START.finish], start[START.total], start[START.open], start[START.keep]
  local names = start[START.names]
  redis.call('HSET', key, 'end', finish, 'total', total, 'keep', keep)
  redis.call('HSET', states, 'open', open, 'end', finish, 'total', total, 'keep', keep)
  if call ~= '' then redis.call('HSET', key, 'call', call) end
  if next(names) then
    local packed = cmsgpack.pack(names)
    redis.call('HSET', key, 'names', packed)
    redis.call('HSET', states, 'names', packed)
  end
  for queue in pairs(start[START.queues]) do redis.call('SADD', prefix .. 'queues', queue) end
  if start[START.held] == 0 then
    local flows = workflows(prefix, now)
    wrong = flows.carry_out(function() flows.start(wid) end, adding())
    if wrong then -- it has not begun, and may come again
      redis.call('PEXPIRE', key, hold)
      redis.call('PEXPIRE', states, hold)
      return wrong
    end
    return answer(prefix, client, number, '1')
  end
end
redis.call('PEXPIRE', key, hold)
redis.call('PEXPIRE', states, hold)
return answer(prefix, client, number, '1')
