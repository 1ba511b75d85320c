-- What is lent to a worker.
-- KEYS[1] prefix    ARGV worker, names of streams
-- Returns entries as name of the stream NUL id. Writes nothing; a stream that is none has none.
-- flags: no-writes,allow-oom
local prefix, worker, found = KEYS[1], ARGV[1], {}
for at = 2, #ARGV do
  local pending = redis.pcall('XPENDING', prefix .. ARGV[at], 'workers', '-', '+', 10000, worker)
  for _, entry in ipairs(pending.err and {} or pending) do found[#found + 1] = ARGV[at] .. '\0' .. entry[1] end
end
return found
