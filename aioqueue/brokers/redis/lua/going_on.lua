-- Which ids that senders chose are those of tasks that wait or run, or of workflows that go on.
-- KEYS[1] prefix    ARGV ids
-- Returns for each id 1 if it is, else 0; also 0 when what is known of it cannot be read. Writes nothing.
-- flags: no-writes,allow-oom
-- use: delayed
-- use: streams
-- use: own_ids
local prefix = KEYS[1]

local function goes_on(id)
  local text = redis.call('GET', prefix .. 'sent:' .. id)
  local call = named_call(prefix, id, text)
  if call then return call ~= 'revoked' end
  local letter, _, queue = read_marker(text or 'x\n')
  if not letter or letter == 'x' then return false end
  local state = redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0)
  if state == '1' then return false end
  return state == '0' or queue == '' or redis.call('ZSCORE', prefix .. 'delayed', id) or not is_empty(prefix, queue)
end

local answer = {}
for i, id in ipairs(ARGV) do
  local known, going = pcall(goes_on, id)
  answer[i] = known and going and 1 or 0
end
return answer
