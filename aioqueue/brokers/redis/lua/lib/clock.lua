-- The broker's clock in ms, moved by `offset` ms (0 but in tests). Only this decides what is due, idle or expired.
local function clock(offset)
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + offset
end
