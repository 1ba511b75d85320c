-- A record is stored as one byte, '1' if it is the task's end and else '0', and then the record itself.
-- Those who wait for a task are in the hash `waiters:<minute>`: id -> names of clients, separated by spaces. They
-- register again every few seconds, so that two minutes' hashes are all that is ever looked at, and a client that
-- died leaves nothing behind.
local INLINE = 8192

local function waiter_keys(prefix, now)
  local minute = math.floor(now / 60000)
  return { prefix .. string.format('waiters:%d', minute), prefix .. string.format('waiters:%d', minute - 1) }
end

-- records: each a KEPT of `plans.py`, all of them already allowed.
local function keep_records(prefix, now, records)
  if #records == 0 then return end
  local text, of
  for i = 1, #records do
    local record = records[i]
    local keep = record[KEPT.keep]
    if keep > 0 then
      if keep ~= of then text, of = string.format('%d', keep), keep end
      redis.call('SET', prefix .. 'r:' .. record[KEPT.id], record[KEPT.stored], 'PX', text)
    elseif keep == 0 then
      redis.call('SET', prefix .. 'r:' .. record[KEPT.id], record[KEPT.stored])
    end
  end
  for _, waiters in ipairs(waiter_keys(prefix, now)) do
    if redis.call('EXISTS', waiters) == 1 then
      local ids = {}
      for i = 1, #records do ids[i] = records[i][KEPT.id] end
      -- What is no hash tells nobody: those who wait look again.
      local found = redis.pcall('HMGET', waiters, unpack(ids))
      for i = 1, #found do
        local clients = found[i]
        if clients then
          local id, value, keep = records[i][KEPT.id], records[i][KEPT.stored], records[i][KEPT.keep]
          local told = (#value <= INLINE or keep < 0) and value or ''
          for client in string.gmatch(clients, '%S+') do
            redis.pcall('PUBLISH', prefix .. 'done:' .. client, #id .. ':' .. id .. told)
          end
          if string.byte(value) == 49 then redis.call('HDEL', waiters, id) end
        end
      end
    end
  end
end
