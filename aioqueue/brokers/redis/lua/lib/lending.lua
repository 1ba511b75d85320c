-- Lends what waits in streams to a worker, without waiting for it. D12: a stream that is none holds up nobody.
local function lending(prefix, worker)
  local self, found, ids, problem = {}, {}, {}, ''

  local function read(stream, most)
    return redis.pcall('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', most, 'STREAMS', stream, '>')
  end

  -- Takes at most so many of the stream of that name after the prefix; returns how many there were, or an error.
  function self.take(name, most)
    local stream = prefix .. name
    local reply = read(stream, most)
    if reply and reply.err and string.find(reply.err, 'NOGROUP') then
      -- From 0, not from now: what was sent before the group was made is to be run.
      redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
      reply = read(stream, most)
    end
    if reply and reply.err then
      if not string.find(reply.err, 'WRONGTYPE') then return redis.error_reply(reply.err) end
      problem = stream .. ': ' .. reply.err
    elseif reply and reply[1] then
      local entries = reply[1][2]
      found[#found + 1] = { name, entries }
      for _, entry in ipairs(entries) do ids[#ids + 1] = entry[2] and entry[2][2] or '' end
      return #entries
    end
    return 0
  end

  -- Returns {list of {name of a stream, entries}, ids among them that have been revoked, why a stream could not be read
  -- or ''}.
  function self.all()
    local revoked = {}
    if #ids > 0 and redis.call('ZCARD', prefix .. 'revoked') > 0 then
      for i, score in ipairs(redis.call('ZMSCORE', prefix .. 'revoked', unpack(ids))) do
        if score then revoked[#revoked + 1] = ids[i] end
      end
    end
    return { found, revoked, problem }
  end

  return self
end
