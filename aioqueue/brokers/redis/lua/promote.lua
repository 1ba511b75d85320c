-- Puts messages that are due into their queues, earliest first, and goes on with the work that workflows have left.
-- KEYS[1] prefix    ARGV clock offset, limit; and to set aside what is none of ours: record, ms to keep it, failure, record
--   of what comes after it and of the body of its chord, head of a dead letter
-- Returns {how many, ms until the next is due or -1, 1 if something has to be set aside, what was set aside {id, why}, why
-- a stream takes no more or ''}.
-- What it moves is bounded by its weight, too, for others wait meanwhile: then the next is due at once.
-- D6: a message leaves the sorted set and enters its stream in one step, whoever asks and how often.
-- D12: one whose stream takes no more waits for a moment more, behind the others. What cannot be read becomes a dead
-- letter, and its task ends.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: delayed
-- use: records
-- use: mending
-- use: queue_names
-- use: adding
-- use: dead
-- use: cargo
-- use: workflow
-- use: aside
-- For how long a message waits whose stream takes no more, in ms.
local LATER = 3000

local prefix, limit = KEYS[1], tonumber(ARGV[2])
local delayed, stored = prefix .. 'delayed', prefix .. 'delayed:data'
local now = clock(tonumber(ARGV[1]))
local ids = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
local problem, moved, set_aside, junk = '', 0, {}, 0
local asides = aside(prefix, now)

if #ids > 0 then
  local wrong = wrong_kind(prefix, { ['delayed:data'] = 'hash', ['delayed:count'] = 'hash' })
  if wrong then return wrong end
  local gone, cargo = {}, a_cargo()
  for _, id in ipairs(ids) do
    if cargo.left <= 0 then break end
    local message = redis.call('HGET', stored, id)
    cargo.left = cargo.left - #(message or '')
    local queue, priority, data = parts(message or '')
    if queue and string.find(priority, '^%d$') then
      local added = adding().add(prefix .. 'q:' .. queue .. ':' .. priority, id, data)
      if added then
        problem = string.gsub(added.err, '^BLOCKED ', '')
        redis.call('ZADD', delayed, now + LATER, id)
      else
        uncount(prefix, queue)
        gone[#gone + 1] = id
      end
    elseif not asides.may then
      junk = 1
    else
      local why = message and 'What was delayed under this id cannot be read.' or 'There is no message to this id that was delayed.'
      if asides.bury(id, message or '', why) then
        gone[#gone + 1] = id
        set_aside[#set_aside + 1] = { id, why }
      else
        problem = 'the dead letters take no more'
        redis.call('ZADD', delayed, now + LATER, id)
      end
    end
  end
  moved = #gone
  if #gone > 0 then
    redis.call('ZREM', delayed, unpack(gone))
    redis.call('HDEL', stored, unpack(gone))
  end
end

-- What is left over; what cannot be done is put back.
local work = prefix .. 'work'
local function items_of(packed)
  local readable, item = pcall(cmsgpack.unpack, packed)
  if not readable or type(item) ~= 'table' then return false end
  return type(item[WORK.workflow]) == 'string' and type(item[WORK.node]) == 'string' and item
end

-- Returns an error if one of them cannot be done; then nothing was changed.
local function go_on(items)
  local flows = workflows(prefix, now)
  return flows.carry_out(function()
    for _, item in ipairs(items) do flows.go_on(item) end
  end, adding())
end

-- One by one: what is broken is set aside, and what has to wait goes to the end of the list.
local function go_on_apart(packed)
  local item = items_of(packed)
  local wrong = not item and 'REFUSED it cannot be read' or (go_on({ item }) or {}).err
  if not wrong then return end
  if string.find(wrong, '^REFUSED') and asides.may then
    local id, why = 'work.' .. string.sub(redis.sha1hex(packed), 1, 12), 'A workflow cannot go on: ' .. wrong
    if asides.bury(id, packed, why) then
      set_aside[#set_aside + 1] = { id, why }
      return
    end
  end
  if string.find(wrong, '^REFUSED') then junk = 1 else problem = wrong end
  redis.call('RPUSH', work, packed)
end

if redis.call('EXISTS', work) == 1 then
  local all, items = redis.call('LPOP', work, LIMIT.STEPS), {}
  for _, packed in ipairs(all) do
    local item = items_of(packed)
    if not item then break end
    items[#items + 1] = item
  end
  if #items < #all or go_on(items) then
    for _, packed in ipairs(all) do go_on_apart(packed) end
  end
  if problem == '' and junk == 0 and redis.call('EXISTS', work) == 1 then return { moved, 0, junk, set_aside, problem } end
end
local head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
local next_due = head[2] and math.max(0, math.floor(tonumber(head[2]) - now)) or -1
return { moved, next_due, junk, set_aside, problem }
