-- Which tasks have an entry in a stream, whether a worker has it or not; a page or some MiB of the stream.
-- KEYS[1] prefix    ARGV stream, where to begin ('-', or '(' and an entry), entries a page, ids
-- Returns {where to go on or '', the ids that were found}. Writes nothing.
-- flags: no-writes,allow-oom
-- use: cargo
local stream, from, left = KEYS[1] .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local wanted, found, cargo = {}, {}, a_cargo()
for i = 4, #ARGV do wanted[ARGV[i]] = true end
while left > 0 and cargo.left > 0 do
  local entries = redis.pcall('XRANGE', stream, from, '+', 'COUNT', math.min(left, 20))
  if entries.err or #entries == 0 then return { '', unpack(found) } end
  for _, entry in ipairs(entries) do
    for at = 1, #entry[2] - 1, 2 do
      local value = entry[2][at + 1]
      cargo.left = cargo.left - #value
      if entry[2][at] == 'i' and wanted[value] then found[#found + 1] = value end
    end
  end
  left, from = left - #entries, '(' .. entries[#entries][1]
end
return { from, unpack(found) }
