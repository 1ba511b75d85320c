-- Ends tasks as revoked, unless they have ended.
-- KEYS[1] prefix    ARGV clock offset, record, ms to keep it, ms to remember ids that wait, terminate 0|1, ids
-- Returns a letter per id: '1' revoked by this, '0' it had ended.
-- F16: this and the task's own end are decided by which script comes first.
-- flags: allow-oom
-- use: clock
-- use: records
-- use: delayed
local prefix, now = KEYS[1], clock(tonumber(ARGV[1]))
local letters, records, ids = {}, {}, {}
redis.call('ZREMRANGEBYSCORE', prefix .. 'revoked', '-inf', now)
for i = 6, #ARGV do
  local id = ARGV[i]
  if redis.call('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1' then
    table.insert(letters, '0')
  else
    table.insert(letters, '1')
    table.insert(ids, id)
    table.insert(records, { id, '1', ARGV[2], tonumber(ARGV[3]) })
    if redis.call('ZREM', prefix .. 'delayed', id) == 1 then
      local message = redis.call('HGET', prefix .. 'delayed:data', id)
      if message then uncount(prefix, (parts(message))) end
      redis.call('HDEL', prefix .. 'delayed:data', id)
    else
      redis.call('ZADD', prefix .. 'revoked', now + tonumber(ARGV[4]), id)
    end
  end
end
store(prefix, now, records)
if #ids > 0 then
  redis.pcall('PUBLISH', prefix .. 'notices', cmsgpack.pack({ 'revoked', ids, ARGV[5] == '1' }))
end
return table.concat(letters)
