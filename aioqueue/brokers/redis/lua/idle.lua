-- Whether nothing waits, runs, or waits for its time, and no workflow has work that is left over.
-- KEYS[1] prefix    ARGV none
-- Returns 1 if so, else 0; also 0 when something cannot be looked at. Writes nothing.
-- flags: no-writes,allow-oom
-- use: streams
local prefix = KEYS[1]
if redis.call('EXISTS', prefix .. 'work', prefix .. 'delayed') > 0 then return 0 end
local queues = redis.pcall('SMEMBERS', prefix .. 'queues')
if queues.err then return 0 end
for _, queue in ipairs(queues) do
  for _, stream in ipairs(streams_of(prefix, queue)) do
    if redis.pcall('XLEN', stream) ~= 0 then return 0 end
  end
end
return 1
