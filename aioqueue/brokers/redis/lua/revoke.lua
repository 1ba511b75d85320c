-- Ends tasks as revoked, unless they have ended. One at the end of a workflow stands for the whole of it.
-- KEYS[1] prefix    ARGV client, number, clock offset, record, ms to keep it, ms to remember ids that wait,
--   terminate 0|1, failure, record of what comes after it and of the body of its chord, ids
-- Returns a letter per id: '1' revoked by this, '0' it had ended. Repeated with the same number it changes nothing.
-- Or an error, and then nothing was changed: REFUSED if a workflow is not what it should be, which is one of theirs.
-- F16: this and the task's own end are decided by which script comes first.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: once
-- use: records
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: streams
-- use: own_ids
-- use: cargo
-- use: workflow
local prefix, client, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now, record, keep, remember, terminate, failure, upstream, chord = clock(tonumber(ARGV[3])), unpack(ARGV, 4, 10)
local before = answered(prefix, client, number)
if before then return before end

local flows = workflows(prefix, now)
local letters, records, ids, gone = {}, {}, {}, {}

local function revoke(id)
  local wid, n = place_of(prefix, id)
  if not wid then wid, n = past_place_of(prefix, id) end
  local whole = wid and redis.call('HGET', prefix .. 'wf:' .. wid, 'end') == n
  -- A task may have left no record; and the record of one at the end of a graft is not the end of all that is in it.
  local ended = wid and flows.ended(wid, n) or not whole and redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0) == '1'
  if ended then
    table.insert(letters, '0')
    return
  end
  table.insert(letters, '1')
  if whole then
    flows.revoke_all(wid, record, terminate == '1', tonumber(remember), failure, upstream, chord)
    return
  end
  local queued = not wid or flows.is_queued(wid, n)
  table.insert(records, { id, '1' .. record, wid and flows.perhaps_keeping(wid) or tonumber(keep) })
  if queued and not flows.withdraw(id) then
    flows.remember_revoked(id, now + remember)
    table.insert(ids, id)
  else
    table.insert(gone, prefix .. 'sent:' .. id)
  end
  if wid then
    flows.revoke_one(wid, n, record, terminate == '1', tonumber(remember), failure, upstream, chord)
  else
    local of, call = call_of(id)
    if of then flows.handler_ended(of, call) end
  end
end

local wrong = flows.decide(function()
  for i = 11, #ARGV do revoke(ARGV[i]) end
end) or wrong_kind(prefix, { revoked = 'zset' }) or flows.add(adding())
if wrong then return wrong end
redis.call('ZREMRANGEBYSCORE', prefix .. 'revoked', '-inf', now)
keep_records(prefix, now, records)
flows.write()
-- Their ids are free. The messages of some have not been met yet.
if #gone > 0 then redis.call('DEL', unpack(gone)) end
if #ids > 0 then
  local markers = {}
  for i, id in ipairs(ids) do markers[i] = prefix .. 'sent:' .. id end
  for i, marker in ipairs(redis.call('MGET', unpack(markers))) do
    if marker then mark_own(prefix, ids[i], 'x', 0) end
  end
  redis.pcall('PUBLISH', prefix .. 'notices', cmsgpack.pack({ NOTICE.TasksRevoked, ids, terminate == '1' }))
end
return answer(prefix, client, number, table.concat(letters))
