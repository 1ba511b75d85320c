-- Moves entries of `consumer` from a stream to the front of their queue, as new entries: an entry's id is the token
-- of its delivery, so whoever held the old one is fenced from here on (D2). `counted` says that the delivery counts,
-- as it does when the worker died; `early` are the marks of what it had acknowledged before its end. What is in an entry goes with it, whoever wrote it. D12: one that can be added nowhere
-- stays where it is.
local function front_of(stream)
  return (string.gsub(stream, ':[^:]*$', ':front'))
end

-- Adds an entry to the front, or where that takes no more behind the others. Returns an error, or nil.
local function put_back(stream, fields)
  local wrong
  for _, to in ipairs({ front_of(stream), stream, (string.gsub(stream, ':[^:]*$', ':0')) }) do
    local added = redis.pcall('XADD', to, '*', unpack(fields))
    if type(added) == 'table' and instead_of(to, added.err) == to then
      added = redis.pcall('XADD', to, '*', unpack(fields))
    end
    if type(added) ~= 'table' then return nil end
    wrong = wrong or to .. ' takes no more: ' .. added.err
  end
  return wrong
end

-- Returns how many were moved, why others were not, and whether some are left since the cargo is complete. Without one all
-- are moved.
local function hand_back(stream, consumer, entries, counted, early, cargo)
  local moved, wrong = 0, nil
  for _, entry in ipairs(entries) do
    if cargo and cargo.left <= 0 then return moved, wrong, true end
    local found = redis.call('XRANGE', stream, entry, entry)
    local problem
    if found[1] then
      local fields, deliveries = { 'i', '', 'm', '' }, 0
      for i = 1, math.min(#found[1][2], 1000), 2 do
        local name, value = found[1][2][i], found[1][2][i + 1]
        if name == 'i' then fields[2] = value
        elseif name == 'm' then fields[4] = value
        elseif name == 'd' then deliveries = tonumber(value) or 0
        elseif name ~= 'v' then fields[#fields + 1], fields[#fields + 2] = name, value end
      end
      if deliveries ~= deliveries or deliveries < 0 then deliveries = 0 end
      fields[#fields + 1] = 'd'
      fields[#fields + 1] = string.format('%d', math.min(deliveries, 999999) + (counted and 1 or 0))
      if early[early_mark(stream, entry)] then
        fields[#fields + 1] = 'e'
        fields[#fields + 1] = '1'
      end
      problem = put_back(stream, fields)
    end
    if problem then
      wrong = problem
    else
      redis.call('XACK', stream, 'workers', entry)
      if found[1] then
        redis.call('XDEL', stream, entry)
        moved = moved + 1
        if cargo then
          for _, part in ipairs(found[1][2]) do cargo.left = cargo.left - #part end
        end
      end
    end
  end
  return moved, wrong
end

-- The ids of entries that `consumer` holds in `stream`, at most `limit`, or none where there is no such stream; and why
-- it cannot be looked at, where that is so.
local function held(stream, consumer, limit)
  local pending = redis.pcall('XPENDING', stream, 'workers', '-', '+', limit, consumer)
  if pending.err then
    return {}, not string.find(pending.err, 'NOGROUP') and stream .. ' cannot be looked at: ' .. pending.err or nil
  end
  local entries = {}
  for i, entry in ipairs(pending) do entries[i] = entry[1] end
  return entries
end
