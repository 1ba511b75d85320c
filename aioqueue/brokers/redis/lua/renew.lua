-- Extends a worker's lease.
-- KEYS[1] prefix    ARGV worker, ms of the lease, clock offset
-- Returns the broker's clock in ms, or 0 when the lease is lost: never to be had again under this name (D2).
-- flags: allow-oom
-- use: clock
-- use: epoch
local prefix, worker = KEYS[1], ARGV[1]
if not redis.call('ZSCORE', prefix .. 'leases', worker) then return 0 end
local now = clock(tonumber(ARGV[3]))
redis.call('ZADD', prefix .. 'leases', 'XX', now + tonumber(ARGV[2]), worker)
pcall(note_epoch, prefix, now, tonumber(ARGV[2])) -- a restart is noticed at once, not at the first death after it (D4)
return now
