-- Runs again what failed or was revoked in a workflow, and what was to come after it; or one node of it.
-- KEYS[1] prefix    ARGV client, number, clock offset, workflow, node or ''
-- Returns how many nodes are to run again. Repeated with the same number it changes nothing.
-- The results of the others are kept, also those in workflows that went on in place of its nodes. Visits every node of the workflow, so it takes longer than other scripts.
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

-- What was left over belongs to the states as they are.
while redis.call('EXISTS', prefix .. 'work') == 1 do
  local flows = workflows(prefix, now, 500)
  flows.resume_work()
  flows.work()
end

local function read(wid)
  local key, states, values = kept(prefix, wid)
  local flow = { wid = wid, key = key, states = states, values = values, nodes = {}, state = {}, undone = {}, again = {} }
  flow.total = tonumber(redis.call('HGET', key, 'total') or 0)
  for n = 1, flow.total do
    local packed = redis.call('HGET', key, n)
    flow.nodes[n] = packed and unpack_node(packed) or nil
    flow.state[n] = redis.call('HGET', states, n) or ''
  end
  flow.state[0] = 'd'
  return flow
end

local function pages(flow, n, sign, count)
  local found = {}
  for page = 0, count - 1 do
    local packed = redis.call('HGET', flow.key, n .. sign .. page)
    for _, m in ipairs(packed and cmsgpack.unpack(packed) or {}) do table.insert(found, m) end
  end
  return found
end

local function successors(flow, n)
  local f = flow.nodes[n]
  return f[12] > 0 and pages(flow, n, '>', f[12]) or f[11]
end

local function members(flow, n) return pages(flow, n, '<', math.ceil(flow.nodes[n][13] / 500)) end
local function letter(flow, n) return string.sub(flow.state[n] or '', 1, 1) end
local BAD = { f = true, u = true, r = true }
local function is_bad(flow, n) return BAD[letter(flow, n)] or false end

-- Bad ends are undone from their origins on; a join only when no member of it has ended badly any more, or, as it has
-- let failures through, for what takes them again.
local function undo(flow, only)
  local bad_members, let_through = {}, {}
  local function add(n)
    if flow.undone[n] or not flow.nodes[n] then return end
    flow.undone[n] = true
    table.insert(flow.again, n)
  end
  for n = 1, flow.total do
    local origin = letter(flow, n) == 'f' or letter(flow, n) == 'r'
    if origin and flow.nodes[n] and flow.nodes[n][1] ~= 'h' and (only == '' or tonumber(only) == n) then add(n) end
  end
  local at = 1
  while at <= #flow.again do
    local n = flow.again[at]
    at = at + 1
    for _, m in ipairs(successors(flow, n)) do
      local g = flow.nodes[m]
      if g and g[1] == 't' then
        if letter(flow, m) == 'u' then add(m) end
      elseif g then
        if not bad_members[m] then
          local count = 0
          for _, member in ipairs(members(flow, m)) do
            if is_bad(flow, member) then count = count + 1 end
          end
          bad_members[m] = count
        end
        bad_members[m] = bad_members[m] - 1
        if bad_members[m] <= 0 and is_bad(flow, m) then add(m) end
        if g[1] == 'a' and letter(flow, m) == 'd' then table.insert(let_through, m) end
      end
    end
  end
  -- What runs again after them waits for what they are to be given now. No end of theirs undoes others.
  for _, join in ipairs(let_through) do
    for _, m in ipairs(flow.undone[join] and {} or successors(flow, join)) do
      if flow.undone[m] then add(join) end
    end
  end
end

-- For how many ends a join waits.
local function missing(flow, n)
  local list, count = members(flow, n), 0
  if #list == 0 then return letter(flow, flow.nodes[n][8]) == 'd' and 0 or 1 end
  for _, member in ipairs(list) do
    local ended = letter(flow, member) == 'd' or flow.nodes[n][1] == 'a' and is_bad(flow, member)
    if not ended then count = count + 1 end
  end
  return count
end

-- For another failure the handlers are called again.
local function forget_calls(flow)
  local handlers = false
  for n = 1, flow.total do
    if flow.nodes[n] and flow.nodes[n][1] == 'h' then handlers = true end
  end
  for _, field in ipairs(handlers and redis.call('HKEYS', flow.states) or {}) do
    local subject = string.match(field, '^%d+%.(%d+)')
    if subject and flow.undone[tonumber(subject)] and redis.call('HGET', flow.states, field) == 'd' then
      redis.call('HDEL', flow.states, field)
    end
  end
end

local function reset(flow)
  for _, n in ipairs(flow.again) do
    flow.state[n] = ''
    redis.call('HDEL', flow.states, n)
    redis.call('HDEL', flow.values, 'f' .. n, 'u' .. n, 'x' .. n)
    if flow.nodes[n][1] == 't' then
      local id = flow.nodes[n][2]
      redis.call('DEL', prefix .. 'r:' .. id)
      redis.call('ZREM', prefix .. 'dead', id)
      redis.call('HDEL', prefix .. 'dead:data', id)
    end
  end
  redis.call('HINCRBY', flow.states, 'open', #flow.again)
  redis.call('HDEL', flow.key, 'revoked')
  forget_calls(flow)
  for n = 1, flow.total do
    if is_bad(flow, n) then return end
  end
  redis.call('HDEL', flow.states, 'bad')
end

-- Whether the workflow in a node's place goes on there; it has been begun again before.
local function is_grafted(flow, n)
  local graft = redis.call('HGET', flow.states, 'g' .. n)
  if not graft then return false end
  local finish = redis.call('HGET', prefix .. 'wf:' .. graft, 'end')
  local state = finish and string.sub(redis.call('HGET', prefix .. 'wf:' .. graft .. ':s', finish) or '', 1, 1)
  if state and state ~= 'd' and not BAD[state] then return true end
  redis.call('HDEL', flow.states, 'g' .. n)
  return false
end

local function restart(flow, flows)
  flows.reopen(flow.wid)
  reset(flow)
  local lenient = {}
  for _, n in ipairs(flow.again) do
    local f = flow.nodes[n]
    for _, m in ipairs(successors(flow, n)) do
      local g = flow.nodes[m]
      if g and g[1] == 'a' and letter(flow, m) == '' then lenient[m] = true end
    end
    if is_grafted(flow, n) then
      flows.set(flow.wid, tostring(n), 'q')
    elseif f[1] ~= 't' then
      local count = missing(flow, n)
      flows.set(flow.wid, 'c' .. n, math.max(count, 1))
      if count == 0 then flows.go(flow.wid, tostring(n), '0') end
    elseif redis.call('ZREM', prefix .. 'revoked', f[2]) == 1 then
      -- Its message has not been met since it was revoked: that one runs.
      flows.set(flow.wid, tostring(n), 'q')
    elseif letter(flow, f[8]) == 'd' then
      flows.go(flow.wid, tostring(n), tostring(f[8]))
    end
  end
  -- A bad end had counted for them, and counts no more.
  for m in pairs(lenient) do
    if not flow.undone[m] then flows.set(flow.wid, 'c' .. m, missing(flow, m)) end
  end
end

-- From the outside in, and begun again from the inside out.
local levels, count = { read(wid) }, 0
undo(levels[1], only)
local at = 1
while at <= #levels do
  local flow = levels[at]
  at = at + 1
  count = count + #flow.again
  for _, n in ipairs(flow.again) do
    local graft = redis.call('HGET', flow.states, 'g' .. n)
    if graft and redis.call('EXISTS', prefix .. 'wf:' .. graft) == 1 then
      local inner = read(graft)
      undo(inner, '')
      table.insert(levels, inner)
    end
  end
end
local flows = workflows(prefix, now, math.max(500, count))
for i = #levels, 1, -1 do
  if #levels[i].again > 0 then restart(levels[i], flows) end
end
flows.work()
return answer(prefix, client, number, tostring(count))
