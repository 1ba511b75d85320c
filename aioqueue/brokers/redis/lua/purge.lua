-- Drops what waits in a stream and no worker holds, a page at a time or some MiB, and ends its tasks as revoked.
-- KEYS[1] prefix    ARGV stream, entries a page, clock offset, record or '' to end nothing, ms to keep it, failure, record of
--   what comes after the task and of the body of its chord
-- Returns how many were dropped: ask again until it is 0.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: records
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: cargo
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

-- How heavy entries are is only seen when they are read: as long as they are light, more are read at once.
local entries, cargo, step, most = {}, a_cargo(), 1, tonumber(ARGV[2])
repeat
  local page, before = redis.call('XRANGE', stream, after, '+', 'COUNT', math.min(step, most - #entries)), cargo.left
  for _, entry in ipairs(page) do
    entries[#entries + 1] = entry
    for _, part in ipairs(entry[2]) do cargo.left = cargo.left - #part end
  end
  if #page > 0 then after = '(' .. page[#page][1] end
  if before - cargo.left < 1048576 then step = 4 * step else step = 1 end
until #page == 0 or #entries >= most or cargo.left <= 0
if #entries == 0 then return 0 end
local dropped, ended, markers = {}, {}, {}
for i, entry in ipairs(entries) do
  dropped[i] = entry[1]
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'i' then
      local id = entry[2][at + 1]
      table.insert(markers, prefix .. 'sent:' .. id)
      if record ~= '' and redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0) ~= '1' then
        table.insert(ended, id)
      end
    end
  end
end

-- What the ends of some mean for their workflows; returns an error, and then nothing was changed.
local function tell(ids)
  local flows = workflows(prefix, now)
  return flows.carry_out(function()
    for _, id in ipairs(ids) do flows.abandon(id, failure, chained, chord, '1' .. record, tonumber(keep)) end
  end, adding())
end

local wrong = tell(ended)
if wrong and string.find(wrong.err, '^REFUSED') then -- the workflow of one of them is broken, which is nothing to the others
  for _, id in ipairs(ended) do
    if tell({ id }) then keep_records(prefix, now, { { id, '1' .. record, tonumber(keep) } }) end
  end
elseif wrong then
  return wrong
end
redis.call('XDEL', stream, unpack(dropped))
if #markers > 0 then redis.call('DEL', unpack(markers)) end -- their senders may send them again
return #dropped
