-- Reads messages for a worker, the front first and then from high priorities to low, without waiting.
-- KEYS[1] prefix    ARGV worker, limit, names of streams in that order
-- Returns {list of {position of the stream, entries}, ids among them that have been revoked, why a stream could not be
-- read or ''}, or 'lost' when the worker has no lease any more. D12: a stream that is none holds up nobody.
-- flags: allow-oom
local prefix, worker, left = KEYS[1], ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', prefix .. 'leases', worker) then return 'lost' end

local function read(stream)
  return redis.pcall('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', left, 'STREAMS', stream, '>')
end

local some_revoked = redis.call('ZCARD', prefix .. 'revoked') > 0
local found, ids, problem = {}, {}, ''
for i = 3, #ARGV do
  if left <= 0 then break end
  local stream = prefix .. ARGV[i]
  local reply = read(stream)
  if reply and reply.err and string.find(reply.err, 'NOGROUP') then
    -- From 0, not from now: what was sent before the group was made is to be run.
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    reply = read(stream)
  end
  if reply and reply.err then
    if not string.find(reply.err, 'WRONGTYPE') then return redis.error_reply(reply.err) end
    problem = stream .. ': ' .. reply.err
  elseif reply and reply[1] then
    local entries = reply[1][2]
    left = left - #entries
    table.insert(found, { i - 2, entries })
    for _, entry in ipairs(entries) do table.insert(ids, entry[2] and entry[2][2] or '') end
  end
end

local revoked = {}
if #ids > 0 and some_revoked then
  for i, score in ipairs(redis.call('ZMSCORE', prefix .. 'revoked', unpack(ids))) do
    if score then table.insert(revoked, ids[i]) end
  end
end
return { found, revoked, problem }
