-- Moves entries of `consumer` from a stream to the front of their queue, as new entries: an entry's id is the token
-- of its delivery, so whoever held the old one is fenced from here on (D2). `counted` says that the delivery counts,
-- as it does when the worker died. Begins with XACK, so that it runs while the broker is out of memory.
local function front_of(stream)
  return (string.gsub(stream, ':[^:]*$', ':front'))
end

local function hand_back(stream, consumer, entries, counted)
  local moved = 0
  for _, entry in ipairs(entries) do
    local found = redis.call('XRANGE', stream, entry, entry)
    redis.call('XACK', stream, 'workers', entry)
    if found[1] then
      local fields, id, data, deliveries = found[1][2], nil, nil, 0
      for i = 1, #fields, 2 do
        if fields[i] == 'i' then id = fields[i + 1] end
        if fields[i] == 'm' then data = fields[i + 1] end
        if fields[i] == 'd' then deliveries = tonumber(fields[i + 1]) or 0 end
      end
      if counted then deliveries = deliveries + 1 end
      redis.call('XADD', front_of(stream), '*', 'i', id or '', 'm', data or '', 'd', deliveries)
      redis.call('XDEL', stream, entry)
      moved = moved + 1
    end
  end
  return moved
end

-- The ids of entries that `consumer` holds in `stream`, at most `limit`; none where there is no such stream.
local function held(stream, consumer, limit)
  local pending = redis.pcall('XPENDING', stream, 'workers', '-', '+', limit, consumer)
  if pending.err then return {} end
  local entries = {}
  for i, entry in ipairs(pending) do entries[i] = entry[1] end
  return entries
end
