-- Ends tasks as revoked, unless they have ended.
-- KEYS[1] prefix    ARGV client, number, clock offset, record, ms to keep it, ms to remember ids that wait,
--   terminate 0|1, ids
-- Returns a letter per id: '1' revoked by this, '0' it had ended. Repeated with the same number it changes nothing.
-- F16: this and the task's own end are decided by which script comes first.
-- flags: allow-oom
-- use: clock
-- use: once
-- use: records
-- use: delayed
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now, record, keep, remember, terminate = clock(tonumber(ARGV[3])), unpack(ARGV, 4, 7)
local before = answered(prefix, client, number)
if before then return before end

local letters, records, ids = {}, {}, {}
redis.call('ZREMRANGEBYSCORE', prefix .. 'revoked', '-inf', now)
for i = 8, #ARGV do
  local id = ARGV[i]
  if redis.call('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1' then
    table.insert(letters, '0')
  else
    table.insert(letters, '1')
    table.insert(ids, id)
    table.insert(records, { id, '1', record, tonumber(keep) })
    if redis.call('ZREM', prefix .. 'delayed', id) == 1 then
      local message = redis.call('HGET', prefix .. 'delayed:data', id)
      if message then uncount(prefix, (parts(message))) end
      redis.call('HDEL', prefix .. 'delayed:data', id)
    else
      redis.call('ZADD', prefix .. 'revoked', now + tonumber(remember), id)
    end
  end
end
store(prefix, now, records)
if #ids > 0 then
  redis.pcall('PUBLISH', prefix .. 'notices', cmsgpack.pack({ 'revoked', ids, terminate == '1' }))
end
return answer(prefix, client, number, table.concat(letters))
