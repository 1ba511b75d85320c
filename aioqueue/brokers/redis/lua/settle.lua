-- Applies settlements, each whole or not at all, each at most once.
-- KEYS[1] prefix    ARGV[1] plan (SETTLE, in `plans.py`, with the rows that it has: STREAM, END, STEP, ADDITION, MESSAGE);
--   the last ones of an END and of a STEP that ended well may be left out
-- ARGV[2..] records as they are stored, messages' data and dead letters
-- Returns a letter per settlement: '1' applied, '0' fenced, 'r' the task had been revoked. Or an error, and then nothing
-- was applied: REFUSED, one of them can never be, as something that is its own is not what it should be; BLOCKED, one of
-- them has to wait for a stream that takes no more; any other, for something that all share. They are tried by halves.
-- D2: an entry is acknowledged by one settlement only, and only by the worker it is lent to; the check comes before
-- the first write. D12: first all is read and decided, then comes what may fail and is taken back then, then the rest.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: rights
-- use: once
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: records
-- use: cargo
-- use: workflow

-- What few settlements need is made for them only: that takes as long as a tenth of a step of a chain.
local function rare()
-- use: streams
-- use: own_ids
-- use: enqueue
-- use: dead
-- use: early
-- use: hand_back
  return {
    kinds_for = kinds_for, enqueue = enqueue, mark_own = mark_own, DEAD_KINDS = DEAD_KINDS, keep_dead = keep_dead,
    early_mark = early_mark, hand_back = hand_back,
  }
end
local made
local function of_rare()
  made = made or rare()
  return made
end

local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local worker, number, streams, settlements = plan[SETTLE.worker], plan[SETTLE.number], plan[SETTLE.streams], plan[SETTLE.ends]

local before = answered(prefix, worker, number)
if before then return before end

-- What this worker holds: one ranged look-up per stream, not one per settlement.
local mine = {}
for s, stream in ipairs(streams) do
  mine[s] = {}
  local key, first, last, most = prefix .. stream[STREAM.name], stream[STREAM.first], stream[STREAM.last], stream[STREAM.most]
  local pending = redis.pcall('XPENDING', key, 'workers', first, last, most, worker)
  if not pending.err then
    local held = mine[s]
    for i = 1, #pending do held[pending[i][1]] = true end
  elseif not string.find(pending.err, 'NOGROUP') then
    return redis.error_reply(pending.err)
  end
end

local revoked = {}
if redis.call('ZCARD', prefix .. 'revoked') > 0 then
  local ids = {}
  for i, settlement in ipairs(settlements) do ids[i] = settlement[END.id] end
  for i, score in ipairs(redis.call('ZMSCORE', prefix .. 'revoked', unpack(ids))) do
    if score then revoked[ids[i]] = true end
  end
end

local letters, done, records, sends, dead = {}, {}, {}, {}, {}
local unlisted, ended, again, steps, back, record_of = {}, {}, {}, {}, {}, {}
local marked, unmarked = {}, {}
for i = 1, #settlements do
  local settlement = settlements[i]
  local s, entry, id = settlement[END.stream], settlement[END.entry], settlement[END.id]
  local acknowledge, final, early = settlement[END.acknowledge], settlement[END.final], settlement[END.early]
  if not mine[s][entry] then
    letters[i] = '0'
  elseif settlement[END.if_revoked] == 1 and not revoked[id] then
    letters[i] = 'r' -- no more: its workflow was resumed
    table.insert(back, { stream = prefix .. streams[s][STREAM.name], entry = entry })
    if early == 1 then unmarked[#unmarked + 1] = of_rare().early_mark(prefix .. streams[s][STREAM.name], entry) end
  else
    if early == 1 and revoked[id] then acknowledge = 1 end -- it does not even start
    if early == 1 then
      table.insert(acknowledge == 1 and unmarked or marked, of_rare().early_mark(prefix .. streams[s][STREAM.name], entry))
    end
    if acknowledge == 1 then
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
      if acknowledge == 1 or final == 1 then
        table.insert(unlisted, id)
        revoked[id] = nil -- it was said of one message
      end
    else
      letters[i] = '1'
      local record, keep = settlement[END.record], settlement[END.keep]
      local step, messages = settlement[END.step], settlement[END.sends]
      -- News of a task that has ended meanwhile comes too late.
      local late = final == 0 and record > 0 and redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1'
      if record > 0 and not late then records[#records + 1] = { id, ARGV[record], keep } end
      if final == 1 and (settlement[END.own] == 1 or record == 0 or keep < 0) then table.insert(ended, prefix .. 'sent:' .. id) end
      if step and step ~= 0 then
        steps[#steps + 1] = step
        if record > 0 and not late then record_of[#steps] = #records end
      end
      if messages then
        for _, message in ipairs(messages) do
          table.insert(sends, message)
          if message[MESSAGE.id] == id then table.insert(again, message) end
        end
        local letter = settlement[END.letter]
        if letter > 0 then table.insert(dead, { id = id, letter = ARGV[letter] }) end
      end
    end
  end
end

local error
local function needs(...) error = error or forbidden(...) end
for s in pairs(done) do
  needs('XACK', prefix .. streams[s][STREAM.name], 'workers', '0-1')
  needs('XDEL', prefix .. streams[s][STREAM.name], '0-1')
end
needs('SET', prefix .. 'answer:' .. worker, '')
if #records > 0 then needs('SET', prefix .. 'r:' .. records[1][KEPT.id], '') end
if #ended > 0 then needs('DEL', ended[1]) end
if #marked > 0 then needs('HSET', prefix .. 'early:' .. worker, '', '') end
if #unmarked > 0 then needs('HDEL', prefix .. 'early:' .. worker, '') end
if #unlisted > 0 then needs('ZREM', prefix .. 'revoked', '') end
if #sends > 0 then
  needs('XADD', prefix .. 'q:' .. sends[1][MESSAGE.queue] .. ':' .. sends[1][MESSAGE.priority], '*', 'i', '')
end
local function needs_delayed()
  needs('ZADD', prefix .. 'delayed', 0, '')
  needs('HSET', prefix .. 'delayed:data', '', '')
  needs('HINCRBY', prefix .. 'delayed:count', '', 1)
end
if #sends > 0 then needs_delayed() end
if #dead > 0 then
  needs('INCR', prefix .. 'dead:count')
  needs('ZADD', prefix .. 'dead', 0, '')
  needs('HSET', prefix .. 'dead:data', '', '')
end
if #steps > 0 then needs('HSET', prefix .. 'wf:' .. steps[1][STEP.workflow], '', '') end
if error then return error end

local kinds = #sends > 0 and of_rare().kinds_for(sends)
local wrong = kinds and wrong_kind(prefix, kinds)
if #dead > 0 then wrong = wrong or wrong_kind(prefix, of_rare().DEAD_KINDS) end
if #marked + #unmarked > 0 then wrong = wrong or wrong_kind(prefix, { ['early:' .. worker] = 'hash' }) end
if #unlisted > 0 then wrong = wrong or wrong_kind(prefix, { revoked = 'zset' }) end
if wrong then return wrong end

local now, flows
if #records + #sends + #dead + #steps > 0 then now = clock(plan[SETTLE.offset]) end
if #steps > 0 then
  flows = workflows(prefix, now)
  flows.allow(2 * #steps)
  wrong = flows.decide(function()
    for i = 1, #steps do
      local step = steps[i]
      local wid, n, letter, value = step[STEP.workflow], step[STEP.node], step[STEP.state], step[STEP.value]
      local upstream, chord, graft = step[STEP.upstream], step[STEP.chord], step[STEP.graft]
      if step[STEP.additions] then
        for _, one in ipairs(step[STEP.additions]) do
          flows.join(one[ADDITION.workflow], one[ADDITION.whole], one[ADDITION.group], ARGV[one[ADDITION.node]])
        end
      end
      if graft and graft ~= '' then flows.start(graft, wid ~= '' and wid or nil, n)
      elseif letter == STATE.DONE then flows.todo('done', wid, n, nil, ARGV[value])
      elseif letter == STATE.WRECKED then flows.wreck(wid, n, ARGV[upstream], ARGV[value], ARGV[chord])
      else flows.ends(wid, n, letter, ARGV[value] or '', ARGV[upstream] or '', ARGV[chord] or '') end
    end
  end)
  if wrong then return wrong end
  -- A plain step needs no more than that.
  if flows.kinds['delayed'] then needs_delayed() end
  if flows.kinds['work'] then needs('RPUSH', prefix .. 'work', '') end
  if #flows.effects + #flows.last_effects + #flows.broken > 0 then
    local flow = prefix .. 'wf:' .. steps[1][STEP.workflow]
    needs('PERSIST', flow)
    needs('PEXPIRE', flow, 1)
    needs('UNLINK', flow)
  end
  if error then return error end
  local keeping = {}
  for i = 1, #steps do
    local step = steps[i]
    local record, wid = records[record_of[i]], step[STEP.workflow]
    -- What error handlers give is nobody's but their own.
    if record and record[KEPT.keep] >= 0 and not is_call(step[STEP.node]) then
      if keeping[wid] == nil then keeping[wid] = flows.perhaps_keeping(wid) or false end
      record[KEPT.keep] = keeping[wid] or record[KEPT.keep]
    end
  end
  if flows.untimely then -- nothing is to be known of it
    local told = {}
    for i, step in ipairs(steps) do
      if flows.untimely[step[STEP.workflow] .. '.' .. step[STEP.node]] and record_of[i] then records[record_of[i]] = false end
    end
    for _, record in ipairs(records) do
      if record then told[#told + 1] = record end
    end
    records = told
  end
end

-- From here on it writes.
if #steps + #sends > 0 then
  local added = adding()
  wrong = flows and flows.add(added) or #sends > 0 and of_rare().enqueue(prefix, now, sends, added)
  if wrong then return wrong end
end
for _, one in ipairs(back) do of_rare().hand_back(one.stream, worker, { one.entry }, false, {}) end
for _, mark in ipairs(marked) do redis.call('HSET', prefix .. 'early:' .. worker, mark, '1') end
if #unmarked > 0 then redis.call('HDEL', prefix .. 'early:' .. worker, unpack(unmarked)) end
for s, entries in pairs(done) do
  local stream = prefix .. streams[s][STREAM.name]
  redis.call('XACK', stream, 'workers', unpack(entries))
  redis.call('XDEL', stream, unpack(entries))
end
-- Its id is free, and so is that of an end that leaves no record.
if #ended > 0 then redis.call('DEL', unpack(ended)) end
-- A retry: its sender, who may repeat the sending, must not replace it while it waits.
for _, message in ipairs(again) do
  of_rare().mark_own(prefix, message[MESSAGE.id], 'r', math.max(message[MESSAGE.delay], message[MESSAGE.due] - now))
end
if #unlisted > 0 then redis.call('ZREM', prefix .. 'revoked', unpack(unlisted)) end
if #dead > 0 then
  for _, letter in ipairs(dead) do of_rare().keep_dead(prefix, letter.id, letter.letter) end
  local excess = redis.call('ZCARD', prefix .. 'dead') - plan[SETTLE.most_dead]
  if excess > 0 then
    for _, id in ipairs(redis.call('ZRANGE', prefix .. 'dead', 0, math.min(excess, 1000) - 1)) do
      redis.call('ZREM', prefix .. 'dead', id)
      redis.call('HDEL', prefix .. 'dead:data', id)
    end
  end
end
if now then keep_records(prefix, now, records) end
if flows then flows.write() end
return answer(prefix, worker, number, table.concat(letters))
