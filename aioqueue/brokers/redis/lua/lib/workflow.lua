-- Workflows: what the end of one node means for the others. See `aioqueue/workflow.py` for the terms.
--   wf:<id>    hash: <n> a node, packed; <n>>k and <n><k pages of what comes after it and of its members; `end`,
--              `keep`, `total`, `parent` and `place` of what it stands for; `revoked` {record, terminate} if all of it is
--   wf:<id>:s  hash: <n> its state; c<n> for how many a join waits; g<n> the workflow that goes on in its place;
--              <h>.<n> the call of handler h for n; `open` nodes that are to end; `bad` once one has ended badly
--   wf:<id>:v  hash: <n> its value; f<n> its failure, u<n> and x<n> the records of what comes after it, as that and as
--              the body of a chord
--   work       list: what was left over when a script had done its share; `promote` goes on with it
-- D2: a node ends once, for its state is looked at first. D8: a bad end reaches all that comes after it. Cost: each node
-- is visited once for each that it comes after.
local INLINE_VALUE = 16384
local FINAL = { d = true, f = true, u = true, r = true }

local function kept(prefix, wid)
  local key = prefix .. 'wf:' .. wid
  return key, key .. ':s', key .. ':v'
end

-- A node: the length of its head in 4 bytes, the head, and the message.
local function unpack_node(packed)
  local length = struct.unpack('>I4', packed)
  return cmsgpack.unpack(string.sub(packed, 5, 4 + length)), string.sub(packed, 5 + length)
end

local function pack_node(head, data)
  local packed = cmsgpack.pack(head)
  return struct.pack('>I4', #packed) .. packed .. data
end

-- The workflow and the node of a task: in its id, or kept apart where the sender chose the id.
local function place_of(prefix, id)
  local wid, n = string.match(id, '^([^.]+)%.(%d+)$')
  if wid and redis.call('HEXISTS', prefix .. 'wf:' .. wid, n) == 1 then return wid, n end
  local named = redis.call('HGET', prefix .. 'wf:names', id)
  if named then return string.match(named, '^([^.]+)%.(%d+)$') end
end

-- The workflow and the token of an error handler's call.
local function call_of(id)
  return string.match(id, '^([^.]+)%.(%d+%.[%d.]+)$')
end

local function workflows(prefix, now, budget)
  local self = {}
  local items, head, spent = {}, 1, 0
  local records, cache, metas = {}, {}, {}

  local function add(op, wid, n, a, b) items[#items + 1] = { op, wid, n, a, b } end

  local function node(wid, n)
    local name = wid .. '.' .. n
    if cache[name] == nil then
      local packed = redis.call('HGET', prefix .. 'wf:' .. wid, n)
      local f, data
      if packed then f, data = unpack_node(packed) end
      cache[name] = f and { kind = f[1], id = f[2], queue = f[4], priority = f[5], due = f[6], delay = f[7],
        after = f[8], on_error = f[9], wanted = f[10], to = f[11], pages = f[12], members = f[13], data = data } or false
    end
    return cache[name]
  end

  local function names_of(key)
    local names = redis.call('HGET', key, 'names')
    return names and cmsgpack.unpack(names) or {}
  end

  local function meta(wid)
    if not metas[wid] then
      local f = redis.call('HMGET', prefix .. 'wf:' .. wid, 'end', 'keep', 'parent', 'place')
      metas[wid] = { finish = f[1], keep = tonumber(f[2] or 0), parent = f[3], place = f[4] }
    end
    return metas[wid]
  end

  local function spread(wid, n, def, op, a, b)
    if def.pages > 0 then
      for page = 0, def.pages - 1 do add('page', wid, n, { op, page, a }, b) end
    else
      for _, m in ipairs(def.to) do add(op, wid, tostring(m), a, b) end
    end
  end

  -- One node less is open; after the last one the workflow is kept for as long as results are.
  local function less(wid, count)
    local key, states, values = kept(prefix, wid)
    if redis.call('HINCRBY', states, 'open', -count) > 0 then return end
    local keep = meta(wid).keep
    if redis.call('HEXISTS', states, 'bad') == 0 then redis.call('UNLINK', values) end
    if keep > 0 then
      for _, name in ipairs({ key, states, values }) do redis.call('PEXPIRE', name, keep) end
    end
    for name, n in pairs(names_of(key)) do
      -- Unless it has been sent again meanwhile.
      if redis.call('HGET', prefix .. 'wf:names', name) == wid .. '.' .. n then redis.call('HDEL', prefix .. 'wf:names', name) end
    end
  end

  local function push(def, id, value)
    local due = def.due
    if def.delay > 0 then due = now + def.delay end
    if due > now then
      delay(prefix, id, def.queue, def.priority, def.data, due)
      announce(prefix, due)
    elseif value then
      redis.call('XADD', prefix .. 'q:' .. def.queue .. ':' .. def.priority, '*', 'i', id, 'm', def.data, 'v', value)
    else
      redis.call('XADD', prefix .. 'q:' .. def.queue .. ':' .. def.priority, '*', 'i', id, 'm', def.data)
    end
  end

  -- The error handlers of a node are called for the failure of `subject`, but for those that heard of it elsewhere.
  local function call_handlers(wid, def, subject, failure, heard)
    local key, states = kept(prefix, wid)
    for _, h in ipairs(def.on_error) do
      local token = h .. '.' .. subject
      if not (heard and heard[tostring(h)]) and redis.call('HSETNX', states, token, 'q') == 1 then
        local handler = node(wid, tostring(h))
        redis.call('HINCRBY', states, 'open', 1)
        if handler then push(handler, handler.id .. '.' .. subject, failure) end
      end
    end
  end

  local function ended(wid, n)
    local state = redis.call('HGET', prefix .. 'wf:' .. wid .. ':s', n)
    return state and FINAL[string.sub(state, 1, 1)]
  end

  local failed

  -- The call of an error handler has ended, in whatever way.
  function self.handled(wid, token)
    local states = prefix .. 'wf:' .. wid .. ':s'
    if redis.call('HGET', states, token) == 'q' then
      redis.call('HSET', states, token, 'd')
      less(wid, 1)
    end
  end

  local function is_call(n) return string.find(n, '.', 1, true) end

  -- A node has ended well.
  function self.done(wid, n, value)
    if is_call(n) then return self.handled(wid, n) end
    local def = node(wid, n)
    if not def or ended(wid, n) then return end
    local key, states, values = kept(prefix, wid)
    redis.call('HSET', states, n, 'd')
    if def.wanted and value then redis.call('HSET', values, n, value) end
    local inline = def.wanted and value and #value * #def.to <= INLINE_VALUE and value or nil
    spread(wid, n, def, 'go', n, inline)
    local about = meta(wid)
    if about.finish == n and about.parent then add('done', about.parent, about.place, nil, value) end
    less(wid, 1)
  end

  -- It is the turn of a node, as far as the one before it is concerned.
  local function go(wid, n, from, value)
    local def = node(wid, n)
    if not def then return end
    local key, states = kept(prefix, wid)
    if def.kind == 't' then
      if redis.call('HSETNX', states, n, 'q') == 1 then push(def, def.id, def.after > 0 and value or nil) end
    elseif redis.call('HINCRBY', states, 'c' .. n, -1) == 0 then
      self.done(wid, n)
    end
  end

  self.go = go

  -- A node cannot run, since the end of `origin` was a bad one.
  local function upstream(wid, n, from, origin)
    local def = node(wid, n)
    if not def then return end
    if def.kind == 'a' then return go(wid, n, from) end
    if ended(wid, n) then return end
    local key, states, values = kept(prefix, wid)
    redis.call('HSET', states, n, 'u' .. origin)
    if def.kind == 't' then
      local before = node(wid, tostring(from))
      local body = before and before.kind ~= 't'
      local record = redis.call('HGET', values, (body and 'x' or 'u') .. origin)
      if record then table.insert(records, { def.id, '1', record, meta(wid).keep }) end
      local first = node(wid, origin)
      if body and #def.on_error > 0 and first and string.sub(redis.call('HGET', states, origin) or '', 1, 1) == 'f' then
        local heard = {}
        for _, h in ipairs(first.on_error) do heard[tostring(h)] = true end
        call_handlers(wid, def, n, nil, heard)
      end
    end
    spread(wid, n, def, 'upstream', n, origin)
    local about = meta(wid)
    if about.finish == n and about.parent then
      local step = redis.call('HMGET', values, 'f' .. origin, 'u' .. origin, 'x' .. origin)
      local letter = string.sub(redis.call('HGET', states, origin) or 'f', 1, 1)
      add('failed', about.parent, about.place, { letter, step[1] or '', step[2] or '', step[3] or '' })
    end
    less(wid, 1)
  end

  -- A task has ended badly by itself ('f'), or was revoked ('r').
  failed = function(wid, n, letter, failure, after, chord, quiet)
    if is_call(n) then return self.handled(wid, n) end
    local def = node(wid, n)
    if not def or ended(wid, n) then return end
    local key, states, values = kept(prefix, wid)
    redis.call('HSET', states, n, letter, 'bad', 1)
    redis.call('HSET', values, 'f' .. n, failure, 'u' .. n, after, 'x' .. n, chord)
    if letter == 'f' and not quiet then
      call_handlers(wid, def, n, failure)
      local about, subject = meta(wid), n
      while about.parent do -- it is a part of what others handle the errors of
        local outer = node(about.parent, about.place)
        subject = about.place .. '.' .. subject
        if outer and #outer.on_error > 0 then
          -- The failure is kept there as well: a handler that is called again has to find it.
          redis.call('HSET', prefix .. 'wf:' .. about.parent .. ':v', 'f' .. subject, failure)
          call_handlers(about.parent, outer, subject, failure)
        end
        about = meta(about.parent)
      end
    end
    spread(wid, n, def, 'upstream', n, n)
    local about = meta(wid)
    if about.finish == n and about.parent then
      add('failed', about.parent, about.place, { letter, failure, after, chord })
    end
    less(wid, 1)
  end
  self.failed = failed

  -- It is kept until it ends, and its tasks are found by the ids that their sender chose.
  function self.reopen(wid)
    local key, states, values = kept(prefix, wid)
    for _, name in ipairs({ key, states, values }) do redis.call('PERSIST', name) end
    for name, n in pairs(names_of(key)) do redis.call('HSET', prefix .. 'wf:names', name, wid .. '.' .. n) end
  end

  -- A stored workflow begins, in the place of a node if one is named.
  function self.start(wid, parent, place)
    local key, states, values = kept(prefix, wid)
    if not node(wid, '0') or redis.call('HSETNX', states, '0', 'd') == 0 then return end
    if parent then
      redis.call('HSET', key, 'parent', parent, 'place', place)
      redis.call('HSET', prefix .. 'wf:' .. parent .. ':s', 'g' .. place, wid)
      metas[wid] = nil
    end
    self.reopen(wid)
    spread(wid, '0', node(wid, '0'), 'go', '0', nil)
  end

  -- A stored workflow becomes one more member of a group.
  function self.join(wid, parent, join, packed)
    local key, states = kept(prefix, parent)
    local blob = redis.call('HGET', key, join)
    if not blob then return end
    local n = tostring(redis.call('HINCRBY', key, 'total', 1))
    redis.call('HSET', key, n, packed)
    redis.call('HSET', states, n, 'q')
    redis.call('HINCRBY', states, 'open', 1)
    redis.call('HINCRBY', states, 'c' .. join, 1)
    local f, data = unpack_node(blob)
    local page = join .. '<' .. math.floor(f[13] / 500)
    local members = redis.call('HGET', key, page)
    members = members and cmsgpack.unpack(members) or {}
    table.insert(members, tonumber(n))
    f[13] = f[13] + 1
    redis.call('HSET', key, page, cmsgpack.pack(members), join, pack_node(f, data))
    cache[parent .. '.' .. join] = nil
    self.start(wid, parent, n)
  end

  -- Everything that has not ended is revoked, from node n on.
  local function revoke(wid, n)
    local key, states, values = kept(prefix, wid)
    local told = redis.call('HGET', key, 'revoked')
    if not told then return end
    local record, terminate, remember = unpack(cmsgpack.unpack(told))
    local total, ids, count = tonumber(redis.call('HGET', key, 'total') or 0), {}, 0
    local last = math.min(tonumber(n) + 199, total)
    redis.call('HSET', states, 'bad', 1)
    for i = tonumber(n), last do
      local m = tostring(i)
      local def = node(wid, m)
      if def and def.kind ~= 'h' and not ended(wid, m) then
        local queued = redis.call('HGET', states, m) == 'q'
        redis.call('HSET', states, m, 'r')
        count = count + 1
        local graft = redis.call('HGET', states, 'g' .. m)
        if graft then
          redis.call('HSET', prefix .. 'wf:' .. graft, 'revoked', told)
          add('revoke', graft, '1')
        elseif def.kind == 't' then
          table.insert(records, { def.id, '1', record, meta(wid).keep })
          if queued and not undelay(prefix, def.id) then
            redis.call('ZADD', prefix .. 'revoked', now + remember, def.id)
            table.insert(ids, def.id)
          end
        end
      end
    end
    spent = spent + 200
    if last < total then add('revoke', wid, tostring(last + 1)) end
    if #ids > 0 then redis.pcall('PUBLISH', prefix .. 'notices', cmsgpack.pack({ 'revoked', ids, terminate })) end
    if count > 0 then less(wid, count) end
  end

  function self.revoke_all(wid, record, terminate, remember, failure, after, chord)
    redis.call('HSET', prefix .. 'wf:' .. wid, 'revoked', cmsgpack.pack({ record, terminate, remember }))
    local about = meta(wid)
    if about.parent then failed(about.parent, about.place, 'r', failure, after, chord) end
    add('revoke', wid, '1')
  end

  -- Whether a message of the node's own waits or runs.
  function self.is_queued(wid, n)
    local f = redis.call('HMGET', prefix .. 'wf:' .. wid .. ':s', n, 'g' .. n)
    return f[1] == 'q' and not f[2]
  end

  -- One node is revoked, and what goes on in its place.
  function self.revoke_one(wid, n, record, terminate, remember, failure, after, chord)
    local graft = redis.call('HGET', prefix .. 'wf:' .. wid .. ':s', 'g' .. n)
    if graft and redis.call('EXISTS', prefix .. 'wf:' .. graft) == 1 then
      self.revoke_all(graft, record, terminate, remember, failure, after, chord)
    end
    failed(wid, n, 'r', failure, after, chord)
  end
  self.ended = ended

  -- The message of a task was dropped: it ends as revoked.
  function self.abandon(id, failure, after, chord)
    local wid, n = place_of(prefix, id)
    if wid then return failed(wid, n, 'r', failure, after, chord) end
    local of, call = call_of(id)
    if of then self.handled(of, call) end
  end

  local function page(wid, n, about, b)
    local op, number, a = unpack(about)
    local packed = redis.call('HGET', prefix .. 'wf:' .. wid, n .. '>' .. number)
    for _, m in ipairs(packed and cmsgpack.unpack(packed) or {}) do add(op, wid, tostring(m), a, b) end
  end

  -- Take up what was left over.
  function self.resume_work()
    for _, packed in ipairs(redis.call('LPOP', prefix .. 'work', budget) or {}) do
      local item = cmsgpack.unpack(packed)
      add(item[1], item[2], item[3], item[4], item[5])
    end
  end

  -- Do a share of what there is to do, and keep the rest. Returns whether something is left.
  function self.work()
    while head <= #items and spent < budget do
      local op, wid, n, a, b = unpack(items[head], 1, 5)
      head = head + 1
      spent = spent + 1
      if op == 'go' then go(wid, n, a, b)
      elseif op == 'upstream' then upstream(wid, n, a, b)
      elseif op == 'page' then page(wid, n, a, b)
      elseif op == 'done' then self.done(wid, n, b)
      elseif op == 'failed' then failed(wid, n, a[1], a[2], a[3], a[4], true)
      else revoke(wid, n) end
    end
    local rest = {}
    for i = head, #items do
      -- A value need not be kept twice: who takes it asks for it.
      local op, wid, n, a, b = unpack(items[i], 1, 5)
      if op == 'go' or (op == 'page' and a[1] == 'go') then b = nil end
      table.insert(rest, cmsgpack.pack({ op, wid, n, a or '', b }))
      if #rest == 1000 or i == #items then
        redis.call('RPUSH', prefix .. 'work', unpack(rest))
        rest = {}
      end
    end
    local left = head <= #items
    if left then redis.pcall('PUBLISH', prefix .. 'notices', 'due') end
    store(prefix, now, records)
    records = {}
    return left
  end

  return self
end
