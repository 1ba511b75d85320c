-- Hashes, as far as they are known, and what is to be written: each field is read once, and what changes is written at the
-- end, once for each hash, as a command costs more than what it does. Adds its functions to `self`.
local function hashes(self)
  -- For each key {known: values by field, false where there is none; changed; dropped: fields that go; lost: it is no hash
  -- any more, and nothing is to be read of it}.
  local all = {}

  local function hash(key)
    local found = all[key]
    if not found then
      found = { known = {}, changed = {} }
      all[key] = found
    end
    return found
  end
  self.hash = hash

  function self.get(key, field)
    local of = all[key] or hash(key)
    local value = of.known[field]
    if value == nil then
      value = not of.lost and redis.call('HGET', key, field)
      of.known[field] = value
    end
    return value
  end

  function self.set(key, field, value)
    local of = all[key] or hash(key)
    of.known[field] = value
    of.changed[field] = value
  end

  function self.increase(key, field, by)
    local value = tonumber(self.get(key, field) or 0) + by
    self.set(key, field, value)
    return value
  end

  -- A field is there no more.
  function self.drop(key, field)
    local of = hash(key)
    of.known[field] = false
    of.changed[field] = nil
    of.dropped = of.dropped or {}
    of.dropped[field] = true
  end

  -- Read fields that are going to be looked at.
  function self.learn(key, fields)
    local of = hash(key)
    if #fields == 0 or of.lost then return end
    local known = of.known
    for at = 1, #fields, LIMIT.VALUES do
      local last = math.min(#fields, at + LIMIT.VALUES - 1)
      local values = redis.call('HMGET', key, unpack(fields, at, last))
      for i = at, last do known[fields[i]] = values[i - at + 1] end
    end
  end

  -- Write what has changed in one of them; returns why that cannot be, if so.
  function self.write_hash(key)
    local of = all[key]
    if not of then return nil end
    local changed, n = {}, 0
    for field, value in pairs(of.changed) do
      changed[n + 1], changed[n + 2] = field, value
      n = n + 2
    end
    for at = 1, n, LIMIT.VALUES do
      local reply = redis.pcall('HSET', key, unpack(changed, at, math.min(n, at + LIMIT.VALUES - 1)))
      if type(reply) == 'table' then return reply.err end
    end
    if of.dropped then
      local dropped = {}
      for field in pairs(of.dropped) do
        if of.changed[field] == nil then dropped[#dropped + 1] = field end
      end
      for at = 1, #dropped, LIMIT.VALUES do
        local reply = redis.pcall('HDEL', key, unpack(dropped, at, math.min(#dropped, at + LIMIT.VALUES - 1)))
        if type(reply) == 'table' then return reply.err end
      end
    end
    of.changed, of.dropped = {}, nil
  end

  function self.write_hashes()
    for key in pairs(all) do self.write_hash(key) end
  end
end
