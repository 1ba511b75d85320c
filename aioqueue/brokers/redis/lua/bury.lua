-- Declares workers fallen whose process is known to be gone, whether their leases have ended or not; they are taken over
-- from at once (take_over.lua).
-- KEYS[1] prefix    ARGV workers
-- Returns how many of them had a lease. May be repeated.
-- D2: a worker that has fallen stays so under that name. D3: whoever asks for this knows that they run nothing.
-- flags: allow-oom
-- use: kinds
local prefix, found = KEYS[1], 0
local wrong = wrong_kind(prefix, { leases = 'zset', fallen = 'set' })
if wrong then return wrong end
for _, worker in ipairs(ARGV) do
  found = found + redis.call('ZREM', prefix .. 'leases', worker)
  redis.call('SADD', prefix .. 'fallen', worker)
end
return found
