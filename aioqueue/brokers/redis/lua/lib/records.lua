-- A record is stored as one byte, '1' if it is the task's end and else '0', and then the record itself.
-- Those who wait for a task are in the hash `waiters:<minute>`: id -> names of clients, separated by spaces. They
-- register again every few seconds, so that two minutes' hashes are all that is ever looked at, and a client that
-- died leaves nothing behind.
local INLINE = 8192

local function waiter_keys(prefix, now)
  local minute = math.floor(now / 60000)
  return { prefix .. 'waiters:' .. minute, prefix .. 'waiters:' .. (minute - 1) }
end

-- records: {id, '1' or '0', bytes, ms to keep, 0 for ever or -1 to tell only those who wait}, all of them already
-- allowed.
local function store(prefix, now, records)
  if #records == 0 then return end
  for _, record in ipairs(records) do
    local key, value = prefix .. 'r:' .. record[1], record[2] .. record[3]
    if record[4] > 0 then
      redis.call('SET', key, value, 'PX', record[4])
    elseif record[4] == 0 then
      redis.call('SET', key, value)
    end
  end
  for _, waiters in ipairs(waiter_keys(prefix, now)) do
    if redis.call('EXISTS', waiters) == 1 then
      local ids = {}
      for i, record in ipairs(records) do ids[i] = record[1] end
      local found = redis.call('HMGET', waiters, unpack(ids))
      for i, clients in ipairs(found) do
        if clients then
          local record = records[i]
          local value = (#record[3] <= INLINE or record[4] < 0) and record[2] .. record[3] or ''
          for client in string.gmatch(clients, '%S+') do
            redis.pcall('PUBLISH', prefix .. 'done:' .. client, #record[1] .. ':' .. record[1] .. value)
          end
          if record[2] == '1' then redis.call('HDEL', waiters, record[1]) end
        end
      end
    end
  end
end
