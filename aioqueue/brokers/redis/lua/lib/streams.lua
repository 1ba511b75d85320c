-- The streams of a queue: the front, which is read before the others, and one for each priority.
local function streams_of(prefix, queue)
  local streams = { prefix .. 'q:' .. queue .. ':front' }
  for priority = 0, 9 do streams[priority + 2] = prefix .. 'q:' .. queue .. ':' .. priority end
  return streams
end
