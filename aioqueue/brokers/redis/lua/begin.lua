-- Ends the leases of all workers: for whoever has started the server, and knows that nobody who used it before is alive.
-- KEYS[1] prefix    ARGV none
-- Returns how many there were; they are taken over from at once. Does nothing once a worker has begun on this server
-- process: then there may be leases of the living (D3).
-- flags: allow-oom
-- use: epoch
-- use: kinds
local prefix = KEYS[1]
if wrong_kind(prefix, { leases = 'zset', fallen = 'set', epoch = 'hash' }) then return 0 end
if known_run(prefix) == present_run() then return 0 end
redis.call('HSET', prefix .. 'epoch', 'run', present_run(), 'truce', 0)
local workers = redis.call('ZRANGE', prefix .. 'leases', 0, -1)
for _, worker in ipairs(workers) do redis.call('SADD', prefix .. 'fallen', worker) end
redis.call('DEL', prefix .. 'leases')
return #workers
