-- Applies one end of which all is plain: its message is acknowledged, its record kept, and nothing follows. It is what
-- `settle` does with it, in half the time: the arguments come as they are used.
-- KEYS[1] prefix    ARGV worker, number, clock offset, stream after the prefix, entry id, task id, ms to keep the record
--   or 0 for ever, the record as it is stored
-- Returns '1' applied, '0' fenced, 'r' the task had been revoked.
-- D2: the check comes before the first write, and the first write is the acknowledgement.
-- flags: allow-oom
-- use: clock
-- use: rights
-- use: once
-- use: records
local prefix, worker, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local before = answered(prefix, worker, number)
if before then return before end

local stream, entry, id = prefix .. ARGV[4], ARGV[5], ARGV[6]
local pending = redis.pcall('XPENDING', stream, 'workers', entry, entry, '1', worker)
if pending.err and not string.find(pending.err, 'NOGROUP') then return redis.error_reply(pending.err) end
if not pending[1] then return answer(prefix, worker, number, '0') end

local revoked = redis.call('ZMSCORE', prefix .. 'revoked', id)[1]
local error = forbidden('XACK', stream, 'workers', entry) or forbidden('XDEL', stream, entry)
  or forbidden('SET', prefix .. 'answer:' .. worker, '')
if revoked then error = error or forbidden('ZREM', prefix .. 'revoked', id)
else error = error or forbidden('SET', prefix .. 'r:' .. id, '') end
if error then return error end

redis.call('XACK', stream, 'workers', entry)
redis.call('XDEL', stream, entry)
if revoked then
  redis.call('ZREM', prefix .. 'revoked', id)
  return answer(prefix, worker, number, 'r')
end
keep_records(prefix, clock(tonumber(ARGV[3])), { { id, ARGV[8], tonumber(ARGV[7]) } })
return answer(prefix, worker, number, '1')
