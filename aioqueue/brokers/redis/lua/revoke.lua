-- Ends tasks as revoked, unless they have ended. One at the end of a workflow stands for the whole of it.
-- KEYS[1] prefix    ARGV client, number, clock offset, record, ms to keep it, ms to remember ids that wait,
--   terminate 0|1, failure, record of what comes after it and of the body of its chord, ids
-- Returns a letter per id: '1' revoked by this, '0' it had ended. Repeated with the same number it changes nothing.
-- F16: this and the task's own end are decided by which script comes first.
-- flags: allow-oom
-- use: clock
-- use: once
-- use: records
-- use: delayed
-- use: workflow
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now, record, keep, remember, terminate, failure, after, chord = clock(tonumber(ARGV[3])), unpack(ARGV, 4, 10)
local before = answered(prefix, client, number)
if before then return before end

local flows = workflows(prefix, now, 500)
local letters, records, ids = {}, {}, {}
redis.call('ZREMRANGEBYSCORE', prefix .. 'revoked', '-inf', now)
for i = 11, #ARGV do
  local id = ARGV[i]
  local wid, n = place_of(prefix, id)
  local whole = wid and redis.call('HGET', prefix .. 'wf:' .. wid, 'end') == n
  -- A task may have left no record; and the record of one at the end of a graft is not the end of all that is in it.
  local ended = wid and flows.ended(wid, n) or not whole and redis.call('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1'
  if ended then
    table.insert(letters, '0')
  else
    table.insert(letters, '1')
    if whole then
      flows.revoke_all(wid, record, terminate == '1', tonumber(remember), failure, after, chord)
    else
      local queued = not wid or flows.is_queued(wid, n)
      table.insert(records, { id, '1' .. record, tonumber(keep) })
      if queued and not undelay(prefix, id) then
        redis.call('ZADD', prefix .. 'revoked', now + tonumber(remember), id)
        table.insert(ids, id)
      end
      if wid then
        flows.revoke_one(wid, n, record, terminate == '1', tonumber(remember), failure, after, chord)
      else
        local of, call = call_of(id)
        if of then flows.handled(of, call) end
      end
    end
  end
end
store(prefix, now, records)
if #ids > 0 then
  redis.pcall('PUBLISH', prefix .. 'notices', cmsgpack.pack({ 'revoked', ids, terminate == '1' }))
end
flows.work()
return answer(prefix, client, number, table.concat(letters))
