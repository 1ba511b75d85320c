-- Runs again what failed or was revoked in a workflow, and what was to come after it; or one node of it.
-- KEYS[1] prefix    ARGV client, number, clock offset, workflow, node or ''
-- Returns how many nodes are to run again. Repeated with the same number it changes nothing.
-- The results of the others are kept. Visits every node of the workflow, so it takes longer than other scripts.
-- flags:
-- use: clock
-- use: once
-- use: records
-- use: delayed
-- use: workflow
local prefix, client, number, wid, only = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
local before = answered(prefix, client, number)
if before then return before end

local now = clock(tonumber(ARGV[3]))
local key, states, values = kept(prefix, wid)
local total = tonumber(redis.call('HGET', key, 'total') or 0)
local nodes, state, successors, members = {}, {}, {}, {}

local function pages(n, sign, count)
  local found = {}
  for page = 0, count - 1 do
    local packed = redis.call('HGET', key, n .. sign .. page)
    for _, m in ipairs(packed and cmsgpack.unpack(packed) or {}) do table.insert(found, m) end
  end
  return found
end

for n = 1, total do
  local packed = redis.call('HGET', key, n)
  nodes[n] = packed and unpack_node(packed) or nil
  state[n] = redis.call('HGET', states, n) or ''
end

local function letter(n) return string.sub(state[n] or '', 1, 1) end
local function is_bad(n) return string.find('fur', letter(n), 1, true) ~= nil and letter(n) ~= '' end

-- Bad ends are undone from their origins on; a join only when no member of it has ended badly any more.
local undone, again, bad_members = {}, {}, {}
local function undo(n)
  if undone[n] or not nodes[n] then return end
  undone[n] = true
  table.insert(again, n)
end
for n = 1, total do
  if nodes[n] and nodes[n][1] ~= 'h' and (letter(n) == 'f' or letter(n) == 'r') and (only == '' or tonumber(only) == n) then
    undo(n)
  end
end
local at = 1
while at <= #again do
  local n = again[at]
  at = at + 1
  local f = nodes[n]
  local to = f[12] > 0 and pages(n, '>', f[12]) or f[11]
  for _, m in ipairs(to) do
    local g = nodes[m]
    if g and g[1] == 't' then
      if letter(m) == 'u' then undo(m) end
    elseif g then
      if not bad_members[m] then
        local count = 0
        for _, member in ipairs(pages(m, '<', math.ceil(g[13] / 500))) do
          if is_bad(member) then count = count + 1 end
        end
        bad_members[m] = count
      end
      bad_members[m] = bad_members[m] - 1
      if bad_members[m] <= 0 and is_bad(m) then undo(m) end
    end
  end
end
if #again == 0 then return answer(prefix, client, number, '0') end

redis.call('HDEL', key, 'revoked')
local running = {}
for _, n in ipairs(again) do
  local f = nodes[n]
  redis.call('HDEL', states, n, 'g' .. n)
  redis.call('HDEL', values, 'f' .. n, 'u' .. n, 'x' .. n)
  if f[1] == 't' then
    redis.call('DEL', prefix .. 'r:' .. f[2])
    redis.call('ZREM', prefix .. 'dead', f[2])
    redis.call('HDEL', prefix .. 'dead:data', f[2])
    -- Its message has not been met since it was revoked: that one runs.
    if redis.call('ZREM', prefix .. 'revoked', f[2]) == 1 then running[n] = true end
  end
end
redis.call('HINCRBY', states, 'open', #again)
local bad = false
for n = 1, total do
  if nodes[n] and not undone[n] and is_bad(n) then bad = true end
end
if not bad then redis.call('HDEL', states, 'bad') end

local flows = workflows(prefix, now, math.max(500, #again))
flows.reopen(wid)
for _, n in ipairs(again) do
  local f = nodes[n]
  if running[n] then
    redis.call('HSET', states, n, 'q')
  elseif f[1] == 't' then
    local first = f[8] == 0 or letter(f[8]) == 'd' and not undone[f[8]]
    if first then flows.go(wid, tostring(n), tostring(f[8])) end
  else
    local count = 0
    local list = pages(n, '<', math.ceil(f[13] / 500))
    for _, member in ipairs(list) do
      if undone[member] or letter(member) == '' or letter(member) == 'q' then count = count + 1 end
    end
    if #list == 0 and f[8] > 0 and undone[f[8]] then count = 1 end
    redis.call('HSET', states, 'c' .. n, count)
    if count == 0 then
      redis.call('HSET', states, 'c' .. n, 1)
      flows.go(wid, tostring(n), '0')
    end
  end
end
flows.work()
return answer(prefix, client, number, tostring(#again))
