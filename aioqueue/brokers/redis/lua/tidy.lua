-- Drops what is left of queues that are empty, that no living worker consumes, and that were not used for a while: their
-- streams and their names.
-- KEYS[1] prefix    ARGV clock offset, ms for which a queue was not used, how many queues to look at
-- Returns how many were dropped.
-- D1: nothing is looked at and dropped in two steps, so no message comes in between. What comes after it makes the stream, and
-- notes the name of its queue, again (queue_names.lua).
-- flags: allow-oom
-- use: clock
-- use: streams
local prefix, unused = KEYS[1], tonumber(ARGV[2])
local now = clock(tonumber(ARGV[1]))
local queues = redis.pcall('SRANDMEMBER', prefix .. 'queues', tonumber(ARGV[3]))
if queues.err or #queues == 0 then return 0 end

-- What the workers consume that have a lease; nil if one of them does not say so.
local function consumed()
  local found, workers = {}, redis.pcall('ZRANGE', prefix .. 'leases', 0, -1)
  if workers.err then return nil end
  if #workers == 0 then return found end
  for at = 1, #workers, 1000 do
    local abouts = redis.pcall('HMGET', prefix .. 'workers', unpack(workers, at, math.min(#workers, at + 999)))
    if abouts.err then return nil end
    for _, about in ipairs(abouts) do
      local readable, status = pcall(cmsgpack.unpack, about or '')
      if not readable or type(status) ~= 'table' or type(status.queues) ~= 'table' then return nil end
      for _, queue in ipairs(status.queues) do found[queue] = true end
    end
  end
  return found
end

local function facts(list)
  local about = {}
  for i = 1, #list, 2 do about[list[i]] = list[i + 1] end
  return about
end

-- When the streams of a queue were used last, 0 if they never were; nil if there is anything in them.
local function last_used(streams)
  local last = 0
  for _, stream in ipairs(streams) do
    if redis.call('EXISTS', stream) == 1 then
      local about = redis.pcall('XINFO', 'STREAM', stream)
      if about.err then return nil end
      about = facts(about)
      if about.length > 0 then return nil end
      for _, group in ipairs(redis.pcall('XINFO', 'GROUPS', stream)) do
        if facts(group).pending ~= 0 then return nil end
      end
      last = math.max(last, tonumber(string.match(about['last-generated-id'], '^%d+')))
    end
  end
  return last
end

local IDLE = prefix .. 'queues:idle'
local function look_at(queue)
  if redis.pcall('HEXISTS', prefix .. 'delayed:count', queue) ~= 0 then return false end
  local streams = streams_of(prefix, queue)
  local last = last_used(streams)
  if not last then return false end
  if last == 0 then -- nothing says since when it is there, so that counts from the first look
    redis.pcall('HSETNX', IDLE, queue, string.format('%.0f', now))
    last = tonumber(redis.pcall('HGET', IDLE, queue)) or now
  end
  if now - last < unused then return false end
  redis.call('UNLINK', unpack(streams))
  redis.call('SREM', prefix .. 'queues', queue)
  redis.pcall('HDEL', IDLE, queue)
  return true
end

local held = consumed()
if not held then return 0 end
local dropped = 0
for _, queue in ipairs(queues) do
  if held[queue] then redis.pcall('HDEL', IDLE, queue)
  elseif look_at(queue) then dropped = dropped + 1 end
end
return dropped
