-- How many messages a queue holds, waiting and running.
local function length_of(prefix, queue)
  local total = redis.call('XLEN', prefix .. 'q:' .. queue .. ':front')
  for priority = 0, 9 do total = total + redis.call('XLEN', prefix .. 'q:' .. queue .. ':' .. priority) end
  return total
end

-- Whether each queue has room for so many more messages.
local function fit(prefix, more, most)
  for queue, count in pairs(more) do
    if length_of(prefix, queue) + count > most then return false end
  end
  return true
end
