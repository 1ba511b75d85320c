-- Hands back what a worker holds, but for what it names; with 'leave', everything, and then the lease.
-- KEYS[1] prefix    ARGV worker, limit, 'keep' or 'leave', names of streams, '', entry ids to keep as stream NUL entry
-- Returns {entries moved, 1 if there is more}.
-- use: hand_back
local prefix, worker, left, leaving = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'leave'
local streams, at = {}, 4
while ARGV[at] ~= '' do
  table.insert(streams, ARGV[at])
  at = at + 1
end
local keep = {}
for i = at + 1, #ARGV do keep[ARGV[i]] = true end

local moved, rest = 0, 0
for _, name in ipairs(streams) do
  local stream, entries = prefix .. name, {}
  for _, entry in ipairs(held(stream, worker, leaving and left + 1 or 100000)) do
    if not keep[name .. '\0' .. entry] then
      if left > 0 then
        table.insert(entries, entry)
        left = left - 1
      else
        rest = 1
      end
    end
  end
  moved = moved + hand_back(stream, worker, entries, false)
end
if leaving and rest == 0 then
  for _, name in ipairs(streams) do redis.pcall('XGROUP', 'DELCONSUMER', prefix .. name, 'workers', worker) end
  redis.call('ZREM', prefix .. 'leases', worker)
  redis.call('HDEL', prefix .. 'workers', worker)
end
return { moved, rest }
