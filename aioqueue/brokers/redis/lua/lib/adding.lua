-- Entries for streams: all of them, or none. A stream can be of a wrong kind, or have no ids left, and only XADD says so;
-- as nobody sees anything before the script is over, what was added before that can be taken back.
local function adding()
  local self, streams, entries, count = {}, {}, {}, 0

  -- Returns an error, or nil; then nothing that was added is there any more.
  function self.add(stream, id, message, value)
    local entry
    if value then entry = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'i', id, 'm', message, 'v', value)
    else entry = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'i', id, 'm', message) end
    if not entry then
      note_queue(KEYS[1], stream)
      if value then entry = redis.pcall('XADD', stream, '*', 'i', id, 'm', message, 'v', value)
      else entry = redis.pcall('XADD', stream, '*', 'i', id, 'm', message) end
    end
    if type(entry) == 'table' then
      local other = instead_of(stream, entry.err)
      if other then return self.add(other, id, message, value) end
      self.undo()
      return redis.error_reply('BLOCKED ' .. stream .. ' takes no more: ' .. entry.err)
    end
    count = count + 1
    streams[count], entries[count] = stream, entry
  end

  function self.undo()
    for i = 1, count do redis.pcall('XDEL', streams[i], entries[i]) end
    count = 0
  end

  return self
end
