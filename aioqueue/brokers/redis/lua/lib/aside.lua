-- What is none of ours, or is broken, is set aside alone: a dead letter, with its bytes and the reason; and its task ends,
-- so that nobody waits for it. What that takes comes as ARGV[3..8] of the script, and only when it is needed: see
-- `promote`. `may` says whether it has come.
local function aside(prefix, now)
  local self = { may = #ARGV >= 8 }
  local keep, failure, upstream, chord, head = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[8]

  -- Bytes, and a text, in msgpack.
  local function bytes(value) return '\198' .. struct.pack('>I4', #value) .. value end
  local function text(value)
    value = string.gsub(value, '[^ -~]', '?')
    return '\219' .. struct.pack('>I4', #value) .. value
  end

  -- Returns whether it could be.
  function self.bury(id, data, why)
    if wrong_kind(prefix, DEAD_KINDS) then return false end
    keep_dead(prefix, id, head .. bytes(data) .. text('reason') .. text(why))
    local flows = workflows(prefix, now)
    local wrong = flows.decide(function() flows.abandon(id, failure, upstream, chord) end) or flows.add(adding())
    if not wrong then flows.write() end
    if redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0) ~= '1' then keep_records(prefix, now, { { id, '1' .. ARGV[3], keep } }) end
    return true
  end

  return self
end
