-- The names of queues stand in the set `queues`. A queue that is not used vanishes from it (tidy.lua), with its streams; so
-- whoever adds the first entry of a stream (NOMKSTREAM tells) notes the name of its queue, and nobody else has to.
local function note_queue(prefix, stream)
  local queue = string.match(string.sub(stream, #prefix + 1), '^q:(.*):[^:]*$')
  if queue then redis.pcall('SADD', prefix .. 'queues', queue) end
end
