-- Puts messages into their streams, or among the delayed when they are not due yet.
-- A message is {id, queue, priority, index of its data in ARGV, due or 0, delay or 0, 1 if its sender may repeat it}.
-- For how long the sender of an id of its own may repeat the sending, in ms.
local MAY_REPEAT = 60000

-- Whether a message whose sender may have sent it before is to be queued.
local function is_new(prefix, id)
  local marker, record = prefix .. 'sent:' .. id, prefix .. 'r:' .. id
  local known, state = redis.call('EXISTS', marker) == 1, redis.call('GETRANGE', record, 0, 0)
  -- It has run: it runs, or waits for its retry.
  if known and (state == '0' or (state ~= '1' and redis.call('GETRANGE', marker, 0, 0) == 'r')) then return false end
  if not undelay(prefix, id) and known and state ~= '1' then return false end
  redis.call('SET', marker, '', 'PX', MAY_REPEAT)
  -- What became of it the last time is forgotten, but not that it was revoked before it came.
  if not redis.call('ZSCORE', prefix .. 'revoked', id) then redis.call('DEL', record) end
  return true
end

local function enqueue(prefix, now, messages)
  local earliest
  for _, message in ipairs(messages) do
    local id, queue, priority, data = message[1], message[2], message[3], ARGV[message[4]]
    local due = message[5]
    if message[6] > 0 then due = now + message[6] end
    if message[7] == 1 and not is_new(prefix, id) then
      -- It waits in a queue, or runs.
    elseif due > now then
      delay(prefix, id, queue, priority, data, due)
      if not earliest or due < earliest then earliest = due end
    else
      redis.call('XADD', prefix .. 'q:' .. queue .. ':' .. priority, '*', 'i', id, 'm', data)
    end
  end
  if earliest then announce(prefix, earliest) end
end
