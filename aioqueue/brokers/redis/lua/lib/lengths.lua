-- How many messages a queue holds, waiting and running.
local function length_of(prefix, queue)
  local total = 0
  for _, stream in ipairs(streams_of(prefix, queue)) do
    local length = redis.pcall('XLEN', stream)
    if type(length) == 'number' then total = total + length end -- what is no stream holds no message
  end
  return total
end

-- Whether each queue has room for so many more messages.
local function fit(prefix, more, most)
  for queue, count in pairs(more) do
    if length_of(prefix, queue) + count > most then return false end
  end
  return true
end
