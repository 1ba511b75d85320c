-- Takes out a worker's lease and makes its queues' streams and groups.
-- KEYS[1] prefix    ARGV worker, ms of the lease, clock offset, what it says of itself, names of streams, '', queues
-- Returns the broker's clock in ms.
-- flags: allow-oom
-- use: clock
-- use: epoch
-- use: kinds
local prefix, worker = KEYS[1], ARGV[1]
local now = clock(tonumber(ARGV[3]))
local wrong = wrong_kind(prefix, { leases = 'zset', workers = 'hash', queues = 'set', epoch = 'hash' })
if wrong then return wrong end
note_epoch(prefix, now, tonumber(ARGV[2]))
redis.call('ZADD', prefix .. 'leases', now + tonumber(ARGV[2]), worker)
redis.call('HSET', prefix .. 'workers', worker, ARGV[4])
redis.call('DEL', prefix .. 'answer:' .. worker)
local at = 5
while ARGV[at] ~= '' do
  local made = redis.pcall('XGROUP', 'CREATE', prefix .. ARGV[at], 'workers', '0', 'MKSTREAM')
  -- One that is no stream is told of by `fetch`, and holds up nobody.
  if made.err and not string.find(made.err, 'BUSYGROUP') and not string.find(made.err, 'WRONGTYPE') then
    return redis.error_reply(made.err)
  end
  at = at + 1
end
for i = at + 1, #ARGV do redis.call('SADD', prefix .. 'queues', ARGV[i]) end
return now
