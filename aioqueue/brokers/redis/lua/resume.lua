-- Runs again what failed or was revoked in a workflow, and what was to come after it; or one node of it.
-- KEYS[1] prefix    ARGV client, number, clock offset, workflow, node or ''
-- Returns how many nodes are to run again, or -1 when it has to be asked again, after a share of what workflows have left
-- over. Repeated with the same number it changes nothing.
-- The results of the others are kept, also those in workflows that went on in place of its nodes. Visits every node of the workflow, so it takes longer than other scripts.
-- flags:
-- use: clock
-- use: kinds
-- use: once
-- use: records
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: cargo
-- use: workflow
local prefix, client, number, wid, only = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
local before = answered(prefix, client, number)
if before then return before end

local now = clock(tonumber(ARGV[3]))

-- What was left over belongs to the states as they are.
if redis.call('EXISTS', prefix .. 'work') == 1 then return '-1' end

local flows

local function read(wid)
  local key, states, values = kept(prefix, wid)
  local flow = { wid = wid, key = key, states = states, values = values, nodes = {}, state = {}, undone = {}, again = {} }
  flow.total = tonumber(redis.call('HGET', key, 'total') or 0)
  if not is_count(flow.total, 2 ^ 24) then error('it does not say how many nodes it has') end
  for n = 1, flow.total do
    local packed = redis.call('HGET', key, n)
    flow.nodes[n] = packed and unpack_head(packed) or nil
    flow.state[n] = redis.call('HGET', states, n) or ''
  end
  flow.state[0] = STATE.DONE
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
  local head = flow.nodes[n]
  return head[NODE.pages] > 0 and pages(flow, n, '>', head[NODE.pages]) or head[NODE.to]
end

local function members(flow, n) return pages(flow, n, '<', math.ceil(flow.nodes[n][NODE.members] / LIMIT.PAGE)) end
local function letter(flow, n) return string.sub(flow.state[n] or '', 1, 1) end
local function is_bad_state(letter) return letter ~= '' and string.find(STATE.BAD, letter, 1, true) and true or false end
local function is_bad(flow, n) return is_bad_state(letter(flow, n)) end

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
    local origin = letter(flow, n) == STATE.FAILED or letter(flow, n) == STATE.REVOKED
    if origin and flow.nodes[n] and flow.nodes[n][NODE.kind] ~= KIND.HANDLER and (only == '' or tonumber(only) == n) then add(n) end
  end
  local at = 1
  while at <= #flow.again do
    local n = flow.again[at]
    at = at + 1
    for _, m in ipairs(successors(flow, n)) do
      local g = flow.nodes[m]
      if g and g[NODE.kind] == KIND.TASK then
        if letter(flow, m) == STATE.UPSTREAM then add(m) end
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
        if g[NODE.kind] == KIND.LENIENT and letter(flow, m) == STATE.DONE then table.insert(let_through, m) end
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
  if #list == 0 then return letter(flow, flow.nodes[n][NODE.before]) == STATE.DONE and 0 or 1 end
  for _, member in ipairs(list) do
    local ended = letter(flow, member) == STATE.DONE or flow.nodes[n][NODE.kind] == KIND.LENIENT and is_bad(flow, member)
    if not ended then count = count + 1 end
  end
  return count
end

-- For another failure the handlers are called again.
local function forget_calls(flow)
  local handlers = false
  for n = 1, flow.total do
    if flow.nodes[n] and flow.nodes[n][NODE.kind] == KIND.HANDLER then handlers = true end
  end
  for _, field in ipairs(handlers and redis.call('HKEYS', flow.states) or {}) do
    local subject = string.match(field, '^%d+%.(%d+)')
    if subject and flow.undone[tonumber(subject)] and redis.call('HGET', flow.states, field) == STATE.DONE then
      flows.drop(flow.states, field)
    end
  end
end

local function reset(flow)
  for _, n in ipairs(flow.again) do
    flow.state[n] = ''
    flows.drop(flow.states, tostring(n))
    for _, of in ipairs({ 'f', 'u', 'x' }) do flows.drop(flow.values, of .. n) end
    if flow.nodes[n][NODE.kind] == KIND.TASK then
      local id = flow.nodes[n][NODE.id]
      flows.later(function()
        redis.call('DEL', prefix .. 'r:' .. id)
        redis.pcall('ZREM', prefix .. 'dead', id)
        redis.pcall('HDEL', prefix .. 'dead:data', id)
      end)
    end
  end
  flows.set(flow.states, 'open', tonumber(redis.call('HGET', flow.states, 'open')) + #flow.again)
  flows.drop(flow.key, 'revoked')
  forget_calls(flow)
  for n = 1, flow.total do
    if is_bad(flow, n) then return end
  end
  flows.drop(flow.states, 'bad')
end

-- Whether the workflow in a node's place goes on there; it has been begun again before.
local function is_grafted(flow, n)
  local graft = redis.call('HGET', flow.states, 'g' .. n)
  if not graft then return false end
  local finish = redis.call('HGET', prefix .. 'wf:' .. graft, 'end')
  local state = finish and string.sub(flows.get(flows.path(graft).states, finish) or '', 1, 1)
  if state and state ~= STATE.DONE and not is_bad_state(state) then return true end
  flows.drop(flow.states, 'g' .. n)
  return false
end

local function restart(flow)
  flows.reopen(flow.wid)
  -- So are the records of what has ended.
  flows.later(function()
    for n = 1, flow.total do
      local id = flow.nodes[n] and flow.nodes[n][NODE.kind] == KIND.TASK and flow.nodes[n][NODE.id]
      if id then redis.call('PERSIST', prefix .. 'r:' .. id) end
    end
  end)
  reset(flow)
  local lenient = {}
  for _, n in ipairs(flow.again) do
    local head = flow.nodes[n]
    for _, m in ipairs(successors(flow, n)) do
      local g = flow.nodes[m]
      if g and g[NODE.kind] == KIND.LENIENT and letter(flow, m) == '' then lenient[m] = true end
    end
    if is_grafted(flow, n) then
      flows.set(flow.states, tostring(n), STATE.QUEUED)
    elseif head[NODE.kind] ~= KIND.TASK then
      local count = missing(flow, n)
      flows.set(flow.states, 'c' .. n, math.max(count, 1))
      if count == 0 then flows.todo('go', flow.wid, tostring(n), '0') end
    elseif redis.call('ZSCORE', prefix .. 'revoked', head[NODE.id]) then
      flows.later(function() redis.call('ZREM', prefix .. 'revoked', head[NODE.id]) end)
      -- Its message has not been met since it was revoked: that one runs.
      flows.set(flow.states, tostring(n), STATE.QUEUED)
    elseif letter(flow, head[NODE.before]) == STATE.DONE then
      flows.todo('go', flow.wid, tostring(n), tostring(head[NODE.before]))
    end
  end
  -- A bad end had counted for them, and counts no more.
  for m in pairs(lenient) do
    if not flow.undone[m] then flows.set(flow.states, 'c' .. m, missing(flow, m)) end
  end
end

-- From the outside in, and begun again from the inside out.
local count = 0
local function again()
  local whole = read(wid)
  undo(whole, only)
  local levels = { whole }
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
  flows.allow(count)
  for i = #levels, 1, -1 do
    if #levels[i].again > 0 then restart(levels[i]) end
  end
end

flows = workflows(prefix, now)
local wrong = flows.carry_out(again, adding())
if wrong then return wrong end
return answer(prefix, client, number, tostring(count))
