-- How many messages a queue holds, waiting and running.
local function length_of(prefix, queue)
  local total = 0
  for _, stream in ipairs(streams_of(prefix, queue)) do
    local length = redis.pcall('XLEN', stream)
    if type(length) == 'number' then total = total + length end -- what is no stream holds no message
  end
  return total
end

-- How many messages a queue may hold, nil is any number; of a plan, where that is a number for each queue (0: any), or a table
-- by their names.
local function most_of(most, queue)
  if type(most) == 'table' then return most[queue] end
  return most > 0 and most or nil
end

-- A queue that has no room for so many more messages, or nil.
local function without_room(prefix, more, most)
  for queue, count in pairs(more) do
    local bound = count > 0 and most_of(most, queue)
    if bound and length_of(prefix, queue) + count > bound then return queue end
  end
end
