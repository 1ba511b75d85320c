-- What waits for its time to go into a queue, a page or some MiB of all that is delayed, the earliest first.
-- KEYS[1] prefix    ARGV queue, first rank, ids a page
-- Returns {how many were looked at, id, due in ms, message, and so on}. Writes nothing.
-- flags: no-writes,allow-oom
-- use: delayed
-- use: cargo
local prefix, queue, first, page = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = redis.call('ZRANGE', prefix .. 'delayed', first, first + page - 1, 'WITHSCORES')
local looked, found, cargo = 0, {}, a_cargo()
for i = 1, #ids, 2 do
  if cargo.left <= 0 then break end
  local stored = redis.call('HGET', prefix .. 'delayed:data', ids[i]) or ''
  local of, _, data = parts(stored)
  looked, cargo.left = looked + 1, cargo.left - #stored
  if of == queue then
    for _, value in ipairs({ ids[i], ids[i + 1], data }) do found[#found + 1] = value end
  end
end
return { looked, unpack(found) }
