-- Reads messages for a worker, the front first and then from high priorities to low, without waiting.
-- KEYS[1] prefix    ARGV worker, limit, names of streams in that order
-- Returns what `lending` has lent, or 'lost' when the worker has no lease any more.
-- flags: allow-oom
-- use: lending
local prefix, worker, left = KEYS[1], ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', prefix .. 'leases', worker) then return 'lost' end

local lent = lending(prefix, worker)
for i = 3, #ARGV do
  if left <= 0 then break end
  local count = lent.take(ARGV[i], left)
  if type(count) == 'table' then return count end
  left = left - count
end
return lent.all()
