-- Reads messages for a worker, portion by portion and without waiting: of each portion's queue the front first, and then
-- from high priorities to low.
-- KEYS[1] prefix    ARGV worker, limit, then for each portion: queue, how many at most
-- Returns {list of {name of the stream after the prefix, entries}, ids among them that have been revoked, why a stream
-- could not be read or ''}, or 'lost' when the worker has no lease any more. D12: a stream that is none holds up nobody.
-- flags: allow-oom
local prefix, worker, left = KEYS[1], ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', prefix .. 'leases', worker) then return 'lost' end

local function read(stream, count)
  return redis.pcall('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', count, 'STREAMS', stream, '>')
end

local found, ids, problem = {}, {}, ''
local empty = {} -- nothing more is in these, though their queue may have another portion

-- Reads at most `most` of a stream; returns how many there were, or an error.
local function take(name, most)
  local stream = prefix .. name
  local reply = read(stream, most)
  if reply and reply.err and string.find(reply.err, 'NOGROUP') then
    -- From 0, not from now: what was sent before the group was made is to be run.
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    reply = read(stream, most)
  end
  local count = 0
  if reply and reply.err then
    if not string.find(reply.err, 'WRONGTYPE') then return redis.error_reply(reply.err) end
    problem = stream .. ': ' .. reply.err
  elseif reply and reply[1] then
    local entries = reply[1][2]
    count = #entries
    table.insert(found, { name, entries })
    for _, entry in ipairs(entries) do table.insert(ids, entry[2] and entry[2][2] or '') end
  end
  empty[name] = count < most
  return count
end

for i = 3, #ARGV, 2 do
  local most = math.min(left, tonumber(ARGV[i + 1]))
  for lane = 10, 0, -1 do
    if most <= 0 then break end
    local name = 'q:' .. ARGV[i] .. ':' .. (lane == 10 and 'front' or lane)
    if not empty[name] then
      local count = take(name, most)
      if type(count) == 'table' then return count end
      most, left = most - count, left - count
    end
  end
  if left <= 0 then break end
end

local revoked = {}
if #ids > 0 and redis.call('ZCARD', prefix .. 'revoked') > 0 then
  for i, score in ipairs(redis.call('ZMSCORE', prefix .. 'revoked', unpack(ids))) do
    if score then table.insert(revoked, ids[i]) end
  end
end
return { found, revoked, problem }
