-- Applies settlements, each whole or not at all, each at most once.
-- KEYS[1] prefix    ARGV[1] plan {worker, number, clock offset, most dead letters, streams, settlements}
--   a stream is {name after the prefix, first and last entry id of this batch, how many this worker may hold}
--   a settlement is {stream's position or 0 if not guarded, entry id, task id, acknowledge 0|1, index of its record in
--   ARGV or 0, final 0|1, ms to keep it (0 for ever, -1 not at all), step or 0, messages to send, index of its dead
--   letter or 0, 1 to put it back if it is not revoked}; the last ones may be left out
--   a step is {workflow, node, letter, indices of its value or failure, of the record of what comes after it and of the
--   body of its chord, workflow that goes on in its place or '', additions to groups {workflow, workflow and join, index
--   of the node that stands for it}}; of one that ended well, the last ones may be left out
-- ARGV[2..] records as they are stored, messages' data and dead letters
-- Returns a letter per settlement: '1' applied, '0' fenced, 'r' the task had been revoked.
-- D2: an entry is acknowledged by one settlement only, and only by the worker it is lent to; the check comes before
-- the first write, and the first write is the acknowledgement, which runs while the broker is out of memory.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: rights
-- use: once
-- use: delayed
-- use: enqueue
-- use: records
-- use: hand_back
-- use: workflow
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local worker, number, offset, most_dead, streams, settlements = unpack(plan, 1, 6)

local before = answered(prefix, worker, number)
if before then return before end

-- What this worker holds: one ranged look-up per stream, not one per settlement.
local mine = {}
for s, stream in ipairs(streams) do
  mine[s] = {}
  local pending = redis.pcall('XPENDING', prefix .. stream[1], 'workers', stream[2], stream[3], stream[4], worker)
  if not pending.err then
    for _, entry in ipairs(pending) do mine[s][entry[1]] = true end
  elseif not string.find(pending.err, 'NOGROUP') then
    return redis.error_reply(pending.err)
  end
end

local revoked = {}
if redis.call('ZCARD', prefix .. 'revoked') > 0 then
  local ids = {}
  for i, settlement in ipairs(settlements) do ids[i] = settlement[3] end
  for i, score in ipairs(redis.call('ZMSCORE', prefix .. 'revoked', unpack(ids))) do
    if score then revoked[ids[i]] = true end
  end
end

local letters, done, records, sends, dead = {}, {}, {}, {}, {}
local unlisted, ended, again, steps = {}, {}, {}, {}
for i, settlement in ipairs(settlements) do
  local s, entry, id, acknowledge, record, final, keep, step, messages, letter, if_revoked = unpack(settlement, 1, 11)
  local owned = s == 0 or mine[s][entry]
  if not owned then
    letters[i] = '0'
  elseif if_revoked == 1 and not revoked[id] then
    letters[i] = 'r' -- no more: its workflow was resumed
    if s > 0 then hand_back(prefix .. streams[s][1], worker, { entry }, false) end
  else
    if s > 0 and acknowledge == 1 then
      mine[s][entry] = nil -- named twice in one batch, it counts once
      local entries = done[s]
      if not entries then
        entries = {}
        done[s] = entries
      end
      entries[#entries + 1] = entry
    end
    if revoked[id] then
      letters[i] = 'r'
      if acknowledge == 1 or final == 1 then table.insert(unlisted, id) end
    else
      letters[i] = '1'
      -- News of a task that has ended meanwhile comes too late.
      local late = final == 0 and record > 0 and redis.call('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1'
      if record > 0 and not late then records[#records + 1] = { id, ARGV[record], keep } end
      if final == 1 and (record == 0 or keep < 0) then table.insert(ended, prefix .. 'sent:' .. id) end
      if step and step ~= 0 then steps[#steps + 1] = step end
      if messages then
        for _, message in ipairs(messages) do
          table.insert(sends, message)
          if message[1] == id then table.insert(again, prefix .. 'sent:' .. id) end
        end
        if letter > 0 then table.insert(dead, { id, ARGV[letter] }) end
      end
    end
  end
end

local needed = {}
local function needs(...) table.insert(needed, { ... }) end
for s in pairs(done) do
  needs('XACK', prefix .. streams[s][1], 'workers', '0-1')
  needs('XDEL', prefix .. streams[s][1], '0-1')
end
needs('SET', prefix .. 'answer:' .. worker, '')
if #records > 0 then needs('SET', prefix .. 'r:' .. records[1][1], '') end
if #ended > 0 then needs('DEL', ended[1]) end
if #unlisted > 0 then needs('ZREM', prefix .. 'revoked', '') end
if #sends > 0 then needs('XADD', prefix .. 'q:' .. sends[1][2] .. ':' .. sends[1][3], '*', 'i', '') end
if #sends + #steps > 0 then
  needs('ZADD', prefix .. 'delayed', 0, '')
  needs('HSET', prefix .. 'delayed:data', '', '')
  needs('HINCRBY', prefix .. 'delayed:count', '', 1)
end
if #dead > 0 then
  needs('INCR', prefix .. 'dead:count')
  needs('ZADD', prefix .. 'dead', 0, '')
  needs('HSET', prefix .. 'dead:data', '', '')
end
if #steps > 0 then
  local flow = prefix .. 'wf:' .. steps[1][1]
  needs('HSET', flow, '', '')
  needs('PERSIST', flow)
  needs('PEXPIRE', flow, 1)
  needs('UNLINK', flow)
  needs('RPUSH', prefix .. 'work', '')
end
local error = forbidden(needed)
if error then return error end

if #sends + #dead > 0 then
  local kinds = {}
  for _, message in ipairs(sends) do
    kinds['q:' .. message[2] .. ':' .. message[3]] = 'stream'
    kinds['delayed'] = 'zset'
    kinds['delayed:data'] = 'hash'
    kinds['delayed:count'] = 'hash'
  end
  if #dead > 0 then
    kinds['dead'] = 'zset'
    kinds['dead:data'] = 'hash'
    kinds['dead:count'] = 'string'
  end
  local wrong = wrong_kind(prefix, kinds)
  if wrong then return wrong end
end

for s, entries in pairs(done) do
  local stream = prefix .. streams[s][1]
  redis.call('XACK', stream, 'workers', unpack(entries))
  redis.call('XDEL', stream, unpack(entries))
end
-- An end that leaves no record: its id may be sent again.
if #ended > 0 then redis.call('DEL', unpack(ended)) end
-- A retry: its sender, who may repeat the sending, must not replace it while it waits.
for _, marker in ipairs(again) do redis.call('SET', marker, 'r', 'XX', 'KEEPTTL') end
if #unlisted > 0 then redis.call('ZREM', prefix .. 'revoked', unpack(unlisted)) end
if #records + #sends + #dead + #steps > 0 then
  local now = clock(offset)
  enqueue(prefix, now, sends)
  for _, letter in ipairs(dead) do
    redis.call('ZADD', prefix .. 'dead', redis.call('INCR', prefix .. 'dead:count'), letter[1])
    redis.call('HSET', prefix .. 'dead:data', letter[1], letter[2])
  end
  if #dead > 0 then
    local excess = redis.call('ZCARD', prefix .. 'dead') - most_dead
    if excess > 0 then
      for _, id in ipairs(redis.call('ZRANGE', prefix .. 'dead', 0, math.min(excess, 1000) - 1)) do
        redis.call('ZREM', prefix .. 'dead', id)
        redis.call('HDEL', prefix .. 'dead:data', id)
      end
    end
  end
  store(prefix, now, records)
  if #steps > 0 then
    local flows = workflows(prefix, now, math.max(500, 2 * #steps))
    for _, step in ipairs(steps) do
      local wid, n, letter, value, after, chord, graft, additions = unpack(step, 1, 8)
      if additions then
        for _, addition in ipairs(additions) do
          flows.join(addition[1], addition[2], addition[3], ARGV[addition[4]])
        end
      end
      if graft and graft ~= '' then flows.start(graft, wid ~= '' and wid or nil, n)
      elseif letter == 'd' then flows.ends(wid, n, 'd', ARGV[value])
      else flows.ends(wid, n, letter, ARGV[value] or '', ARGV[after] or '', ARGV[chord] or '') end
    end
    flows.work()
  end
end
return answer(prefix, worker, number, table.concat(letters))
