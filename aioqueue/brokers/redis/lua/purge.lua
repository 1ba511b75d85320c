-- Drops what waits in a stream and no worker holds, a page at a time, and ends its tasks as revoked.
-- KEYS[1] prefix    ARGV stream, entries a page, clock offset, record or '' to end nothing, ms to keep it, failure, record of
--   what comes after the task and of the body of its chord
-- Returns how many were dropped: ask again until it is 0.
-- flags: allow-oom
-- use: clock
-- use: records
-- use: delayed
-- use: workflow
local prefix, stream, now = KEYS[1], KEYS[1] .. ARGV[1], clock(tonumber(ARGV[3]))
local record, keep, failure, chained, chord = unpack(ARGV, 4, 8)
local after = '-'
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err then return 0 end
for _, group in ipairs(groups) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then after = '(' .. group[i + 1] end
  end
end

local entries = redis.call('XRANGE', stream, after, '+', 'COUNT', ARGV[2])
if #entries == 0 then return 0 end
local dropped, markers, records, flows = {}, {}, {}, workflows(prefix, now, 500)
for i, entry in ipairs(entries) do
  dropped[i] = entry[1]
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'i' then
      local id = entry[2][at + 1]
      table.insert(markers, prefix .. 'sent:' .. id)
      if record ~= '' and redis.call('GETRANGE', prefix .. 'r:' .. id, 0, 0) ~= '1' then
        table.insert(records, { id, '1' .. record, tonumber(keep) })
        flows.abandon(id, failure, chained, chord)
      end
    end
  end
end
redis.call('XDEL', stream, unpack(dropped))
if #markers > 0 then redis.call('DEL', unpack(markers)) end -- their senders may send them again
store(prefix, now, records)
flows.work()
return #dropped
