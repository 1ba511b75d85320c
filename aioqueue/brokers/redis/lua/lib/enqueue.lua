-- Puts messages into their streams, or among the delayed when they are not due yet: all of them, or none.
-- A message is a MESSAGE of `plans.py`.

-- The keys that some messages need beside their streams, for `wrong_kind`; nil if they need none.
local function kinds_for(messages)
  local kinds
  for _, message in ipairs(messages) do
    if message[MESSAGE.due] > 0 or message[MESSAGE.delay] > 0 or message[MESSAGE.call] ~= 0 then
      kinds = kinds or {}
      kinds['delayed'], kinds['delayed:data'], kinds['delayed:count'] = 'zset', 'hash', 'hash'
      if message[MESSAGE.call] ~= 0 then own_kinds(kinds, message[MESSAGE.id]) end
    end
  end
  return kinds
end

local function call_of_message(message) return message[MESSAGE.call] == 1 and '' or message[MESSAGE.call] end

local function is_same(call, other) return call == other or call == '' or other == '' end

-- Which messages are of tasks that wait or run already, by their places, or nil; and the id of one that is another call.
local function known_already(prefix, messages)
  local known, calls
  for i, message in ipairs(messages) do
    if message[MESSAGE.call] ~= 0 then
      known, calls = known or {}, calls or {}
      local id, call = message[MESSAGE.id], call_of_message(message)
      local held, _, waits = holder(prefix, id)
      if held and not is_same(held, call) or calls[id] and not is_same(calls[id], call) then return known, id end
      calls[id] = call
      known[i] = held and not waits
    end
  end
  return known
end

-- Returns an error, and then has changed nothing. Who calls it has seen that the keys beside the streams are as they
-- should be, and which messages are `known` already: those are dropped.
local function enqueue(prefix, now, messages, added, known)
  local earliest, delays, new = nil, {}, {}
  local add, stream, of_queue, of_priority = added.add, nil, nil, nil
  for i, message in ipairs(messages) do
    local id, queue, priority = message[MESSAGE.id], message[MESSAGE.queue], message[MESSAGE.priority]
    local data = ARGV[message[MESSAGE.data]]
    local due, once, before = message[MESSAGE.due], message[MESSAGE.call] ~= 0, nil
    if message[MESSAGE.delay] > 0 then due = now + message[MESSAGE.delay] end
    if once then before = new[id] end
    if before and before.at then delays[before.at] = false end -- replaced by this one
    if once and (before and not before.at or known and known[i]) then
      -- It waits in a queue, or runs.
    elseif due > now then
      delays[#delays + 1] = { id, queue, priority, data, due }
      if once then new[id] = { at = #delays, call = call_of_message(message), queue = queue, due = due } end
      if not earliest or due < earliest then earliest = due end
    else
      if queue ~= of_queue or priority ~= of_priority then
        stream, of_queue, of_priority = prefix .. 'q:' .. queue .. ':' .. priority, queue, priority
      end
      local wrong = add(stream, id, data)
      if wrong then return wrong end
      if once then new[id] = { call = call_of_message(message), queue = queue, due = now } end
    end
  end
  for id, one in pairs(new) do
    note_own(prefix, id, claim(prefix, id) and 'x' or 'w', one.call, one.queue, one.due - now)
  end
  for _, one in ipairs(delays) do
    if one then delay(prefix, unpack(one)) end
  end
  if earliest then announce(prefix, earliest) end
end
