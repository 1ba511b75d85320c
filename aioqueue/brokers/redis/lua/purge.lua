-- Drops what waits in a stream and no worker holds, a page at a time.
-- KEYS[1] prefix    ARGV stream, entries a page
-- Returns how many were dropped, of at most 2 pages: ask again until it is 0.
local stream, dropped = KEYS[1] .. ARGV[1], 0
local after = '-'
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err then return 0 end
for _, group in ipairs(groups) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then after = '(' .. group[i + 1] end
  end
end
for _ = 1, 2 do
  local entries = redis.call('XRANGE', stream, after, '+', 'COUNT', ARGV[2])
  if #entries == 0 then break end
  local ids, markers = {}, {}
  for i, entry in ipairs(entries) do
    ids[i] = entry[1]
    for at = 1, #entry[2], 2 do
      if entry[2][at] == 'i' then table.insert(markers, KEYS[1] .. 'sent:' .. entry[2][at + 1]) end
    end
  end
  if #markers > 0 then redis.call('DEL', unpack(markers)) end -- their senders may send them again
  dropped = dropped + redis.call('XDEL', stream, unpack(ids))
end
return dropped
