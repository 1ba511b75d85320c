-- Ids that senders chose. As long as a task of such an id waits or runs, the same call is that task, and another one is
-- refused; with its end the id is free. `sent:<id>` says what was called: a letter, the call, a new line, the queue. The letter is
-- 'w' as it was sent, 'r' it was retried, 'x' it was revoked, so that its id is
-- free although its message has not been met. What belongs to a workflow stands in `wf:names` instead.
-- An end drops it. For how long it is kept when its message vanishes unseen, beyond its due time, in ms:
local KEEP_OWN = 30 * 24 * 3600 * 1000
local OWN_KINDS = { ['wf:names'] = 'hash', revoked = 'zset', delayed = 'zset', ['delayed:data'] = 'hash' }

local function own_kinds(kinds, id)
  for name, kind in pairs(OWN_KINDS) do kinds[name] = kind end
  kinds['sent:' .. id] = 'string'
end

-- What a marker says, or nothing if it is none of ours. Those of earlier versions are empty, or 'r', and gone after a minute.
local function read_marker(text)
  local letter, call, queue = string.match(text, '^(%l?)([^\n]*)\n?(.*)$')
  if queue ~= '' or text == '' or text == 'r' then return letter, call, queue end
end

local function is_empty(prefix, queue)
  for _, stream in ipairs(streams_of(prefix, queue)) do
    local length = redis.pcall('XLEN', stream)
    if type(length) ~= 'number' or length > 0 then return false end
  end
  return true
end

-- The call of the workflow that an id belongs to, if its node has not ended, and the workflow; else nil.
local function named_call(prefix, id, text)
  local place = redis.call('HGET', prefix .. 'wf:names', id)
  local wid, n = string.match(place or '', '^([^.:]+)%.(%d+)$')
  if not wid or redis.call('EXISTS', prefix .. 'wf:' .. wid .. ':s') == 0 then return nil end
  local state = redis.pcall('HGET', prefix .. 'wf:' .. wid .. ':s', n)
  if type(state) == 'table' then return nil end
  -- One that was revoked is free when its message has been met, which is not to be taken for another's.
  if state and string.find(STATE.FINAL, string.sub(state, 1, 1), 1, true) then
    if string.sub(state, 1, 1) ~= STATE.REVOKED or not redis.call('ZSCORE', prefix .. 'revoked', id) then return nil end
    return 'revoked', wid
  end
  local call = text and select(2, read_marker(text)) or redis.pcall('HGET', prefix .. 'wf:' .. wid, 'call')
  return type(call) == 'string' and call or 'unknown', wid
end

-- Takes the message of a revoked task away from whoever has it, so that another of that id is not taken for it; no such
-- message is of use to anybody. Those that were sent last are looked through. Returns whether it is gone.
local function take_away(prefix, id, queue)
  for _, stream in ipairs(streams_of(prefix, queue)) do
    local entries = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', 1000)
    for _, entry in ipairs(entries.err and {} or entries) do
      if entry[2] and entry[2][1] == 'i' and entry[2][2] == id then
        redis.pcall('XACK', stream, 'workers', entry[1])
        return redis.pcall('XDEL', stream, entry[1]) == 1
      end
    end
  end
  return is_empty(prefix, queue)
end

-- Whose an id is: its call (nil if it is free), its workflow if it has one, and whether its message waits for its time, as it
-- was sent.
local function holder(prefix, id)
  local text = redis.call('GET', prefix .. 'sent:' .. id)
  local call, wid = named_call(prefix, id, text)
  if call then return call, wid end
  if not text then return nil end
  local letter, called, queue = read_marker(text)
  if not letter then return nil end
  local state = redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0)
  local delayed = redis.call('ZSCORE', prefix .. 'delayed', id)
  if letter == 'x' then
    if not redis.call('ZSCORE', prefix .. 'revoked', id) then return nil end
    if queue == '' or not take_away(prefix, id, queue) then return 'revoked' end
    redis.call('ZREM', prefix .. 'revoked', id)
    return nil
  end
  if state == '1' then return nil end
  if delayed then return called, nil, letter ~= 'r' and state ~= '0' end
  if state == '0' or queue == '' or not is_empty(prefix, queue) then return called end
  return nil -- its message has vanished: it was purged by hand, or its stream was
end

-- The id is a new task's: nothing of what became of the last one is known any more, but for that it was revoked before it
-- came, which is returned.
local function claim(prefix, id)
  undelay(prefix, id)
  local revoked = redis.call('ZSCORE', prefix .. 'revoked', id)
  if not revoked then redis.call('DEL', prefix .. 'r:' .. id) end
  redis.call('HDEL', prefix .. 'wf:names', id)
  redis.call('DEL', prefix .. 'wf:at:' .. id)
  return revoked
end

local function note_own(prefix, id, letter, call, queue, wait)
  redis.call('SET', prefix .. 'sent:' .. id, letter .. call .. '\n' .. queue, 'PX', string.format('%.0f', KEEP_OWN + math.max(0, wait)))
end

-- Another letter for one that is there; with how long its message waits, it is kept for longer.
local function mark_own(prefix, id, letter, wait)
  local text = redis.pcall('GET', prefix .. 'sent:' .. id)
  if type(text) ~= 'string' then return end
  local known, call, queue = read_marker(text)
  if known then note_own(prefix, id, letter, call, queue, wait) end
end
