-- Hands back what a worker holds: but for what is named ('keep'), only what is named ('these'), or everything and then
-- the lease ('leave').
-- KEYS[1] prefix    ARGV worker, limit, mode, names of streams, '', entries as stream NUL id
-- Returns {entries moved, 1 if there is more}.
-- flags: allow-oom
-- use: hand_back
local prefix, worker, left, mode = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local leaving = mode == 'leave'
local streams, at = {}, 4
while ARGV[at] ~= '' do
  table.insert(streams, ARGV[at])
  at = at + 1
end
local named = {}
for i = at + 1, #ARGV do named[ARGV[i]] = true end

local moved, rest = 0, 0
for _, name in ipairs(streams) do
  local stream, entries = prefix .. name, {}
  for _, entry in ipairs(held(stream, worker, leaving and left + 1 or 100000)) do
    if (named[name .. '\0' .. entry] or false) == (mode == 'these') then
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
