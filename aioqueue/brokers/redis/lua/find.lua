-- Where the entry of a task is in a stream, whether a worker has it or not; a page or some MiB of the stream.
-- KEYS[1] prefix    ARGV stream, where to begin ('-', or '(' and an entry), the last entry or '+', entries a page, id
-- Returns {where to go on or '', how many were looked at before it, its entry or '', its message}. Writes nothing.
-- flags: no-writes,allow-oom
-- use: cargo
local stream, from, to, left, id = KEYS[1] .. ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local looked, cargo = 0, a_cargo()
while left > 0 and cargo.left > 0 do
  local entries = redis.pcall('XRANGE', stream, from, to, 'COUNT', math.min(left, 20))
  if entries.err or #entries == 0 then return { '', looked, '', '' } end
  for _, entry in ipairs(entries) do
    local data, is_it = '', false
    for at = 1, #entry[2] - 1, 2 do
      local value = entry[2][at + 1]
      cargo.left = cargo.left - #value
      if entry[2][at] == 'm' then data = value end
      if entry[2][at] == 'i' and value == id then is_it = true end
    end
    if is_it then return { '', looked, entry[1], data } end
    looked = looked + 1
  end
  left, from = left - #entries, '(' .. entries[#entries][1]
end
return { from, looked, '', '' }
