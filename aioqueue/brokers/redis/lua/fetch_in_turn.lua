-- Reads messages for a worker, portion by portion and without waiting: of each portion's queue the front first, and then
-- from high priorities to low.
-- KEYS[1] prefix    ARGV worker, limit, then for each portion: queue, how many at most
-- Returns what `lending` has lent, or 'lost' when the worker has no lease any more.
-- flags: allow-oom
-- use: lending
local prefix, worker, left = KEYS[1], ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', prefix .. 'leases', worker) then return 'lost' end

local lent = lending(prefix, worker)
local empty = {} -- nothing more is in these, though their queue may have another portion
for i = 3, #ARGV, 2 do
  local most = math.min(left, tonumber(ARGV[i + 1]))
  for lane = 10, 0, -1 do
    if most <= 0 then break end
    local name = 'q:' .. ARGV[i] .. ':' .. (lane == 10 and 'front' or lane)
    if not empty[name] then
      local count = lent.take(name, most)
      if type(count) == 'table' then return count end
      empty[name] = count < most
      most, left = most - count, left - count
    end
  end
  if left <= 0 then break end
end
return lent.all()
