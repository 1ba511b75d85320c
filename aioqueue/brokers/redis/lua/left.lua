-- What others hold in some streams.
-- KEYS[1] prefix    ARGV worker that asks, names of streams
-- Returns {how many entries, worker and end of its lease (0 without one), and so on}. Writes nothing.
-- flags: no-writes,allow-oom
local prefix, me = KEYS[1], ARGV[1]
local held, ends, found = 0, {}, {}
for i = 2, #ARGV do
  local pending = redis.pcall('XPENDING', prefix .. ARGV[i], 'workers')
  for _, holder in ipairs(not pending.err and pending[4] or {}) do
    if holder[1] ~= me then
      held = held + tonumber(holder[2])
      if not ends[holder[1]] then
        ends[holder[1]] = redis.call('ZSCORE', prefix .. 'leases', holder[1]) or '0'
        found[#found + 1], found[#found + 2] = holder[1], ends[holder[1]]
      end
    end
  end
end
return { held, unpack(found) }
