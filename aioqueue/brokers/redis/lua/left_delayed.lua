-- What waits for its time in some queues, a page at a time: retries, and the rest.
-- KEYS[1] prefix    ARGV clock offset, first and last rank, names of queues
-- Returns {how many were looked at, retries, ms until the first of those is due, others}. Writes nothing.
-- flags: no-writes,allow-oom
-- use: clock
-- use: delayed
local prefix, now = KEYS[1], clock(tonumber(ARGV[1]))
local queues = {}
for i = 4, #ARGV do queues[ARGV[i]] = true end
local page = redis.call('ZRANGE', prefix .. 'delayed', tonumber(ARGV[2]), tonumber(ARGV[3]), 'WITHSCORES')
local ids = {}
for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
local retries, first, others = 0, -1, 0
local stored = #ids > 0 and redis.call('HMGET', prefix .. 'delayed:data', unpack(ids)) or {}
for i, value in ipairs(stored) do
  local queue, _, data = parts(value or '')
  if queue and queues[queue] then
    -- The field of the message, and a number that is not 0; the library for msgpack here does not read bytes.
    if string.find(data, '\167retries[\1-\127\204\205]') then
      retries = retries + 1
      if first < 0 then first = math.max(0, math.floor(tonumber(page[2 * i]) - now)) end
    else
      others = others + 1
    end
  end
end
return { #ids, retries, first, others }
