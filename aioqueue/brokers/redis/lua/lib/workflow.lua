-- Workflows: what the end of one node means for the others. See `aioqueue/workflow.py` for the terms.
--   wf:<id>    hash: <n> a node, packed; <n>>k and <n><k pages of what comes after it and of its members; `end`,
--              `keep`, `total`, `parent` and `place` of what it stands for; `revoked` {record, terminate} if all of it is
--   wf:<id>:s  hash: <n> its state, which of a simple node that is queued says what is to be done when it ends
--              (`queued_state`); c<n> for how many a join waits; g<n> the workflow that goes on in its place;
--              <h>.<n> the call of handler h for n; `open` nodes that are to end; `bad` once one has ended badly
--   wf:<id>:v  hash: <n> its value; f<n> its failure, u<n> and x<n> the records of what comes after it, as that and as
--              the body of a chord
--   work       list: what was left over when a script had done its share; `promote` goes on with it
-- D2: a node ends once, for its state is looked at first. D8: a bad end reaches all that comes after it. Cost: each node
-- is visited once for each that it comes after. What is read is read for many nodes at once, and what changes is written
-- at the end (`work`), once for each hash: a command costs more than what it does.
local INLINE_VALUE = 16384
local QUEUED = string.byte('q')
local FINAL = { d = true, f = true, u = true, r = true }

local function kept(prefix, wid)
  local key = prefix .. 'wf:' .. wid
  return key, key .. ':s', key .. ':v'
end

-- A node: what is seen of it at a glance, its head, and the message. See `encode_node`.
-- At a glance: its kind, 1 if it is simple, 1 if somebody takes its value, 1 if it takes one, its priority, id, queue,
-- the one after it or '', and the size of its head; and where that begins. Most nodes are simple: tasks that are not
-- put off, with at most one after them. All that is to be known of those is here, at a fifth of what a head costs.
local GLANCE = '>c1BBBBI2c0I2c0Bc0I4'
-- Where what is in a head.
local KIND, ID, QUEUE, PRIORITY, DUE, DELAY, AFTER, ON_ERROR, WANTED, TO, PAGES, LINKED = 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15

local function unpack_head(packed)
  local _, _, _, _, _, id, queue, _, size, at = struct.unpack(GLANCE, packed)
  local head = cmsgpack.unpack(string.sub(packed, at, at + size - 1))
  head[ID], head[QUEUE] = id, queue
  return head
end

local function message_of(packed)
  local _, _, _, _, _, _, _, _, size, at = struct.unpack(GLANCE, packed)
  return string.sub(packed, at + size)
end

local function unpack_node(packed) return unpack_head(packed), message_of(packed) end

local function pack_node(head, data)
  local id, queue = head[ID], head[QUEUE]
  head[ID], head[QUEUE] = '', ''
  local packed = cmsgpack.pack(head)
  head[ID], head[QUEUE] = id, queue
  local wanted, takes = head[WANTED] and 1 or 0, head[AFTER] > 0 and 1 or 0
  return struct.pack(GLANCE, head[KIND], 0, wanted, takes, head[PRIORITY], #id, id, #queue, queue, 0, '', #packed)
    .. packed .. data
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
  local items, head, spent, fetched = {}, 1, 0, 0
  local records, closing = {}, {}
  local paths, blobs, nodes, packed_of, metas, hashes, streams = {}, {}, {}, {}, {}, {}, {}

  local function add(op, wid, n, a, b) items[#items + 1] = { op, wid, n, a, b } end

  -- The keys of a workflow.
  local function path(wid)
    local found = paths[wid]
    if not found then
      local key, states, values = kept(prefix, wid)
      found = { key = key, states = states, values = values }
      paths[wid] = found
    end
    return found
  end

  -- A hash, as far as it is known here, and what is to be written.
  local function hash(key)
    local found = hashes[key]
    if not found then
      found = { known = {}, changed = {} }
      hashes[key] = found
    end
    return found
  end

  local function get(key, field)
    local known = hash(key).known
    local value = known[field]
    if value == nil then
      value = redis.call('HGET', key, field)
      known[field] = value
    end
    return value
  end

  local function set(key, field, value)
    local of = hash(key)
    of.known[field] = value
    of.changed[field] = value
  end

  local function increase(key, field, by)
    local value = tonumber(get(key, field) or 0) + by
    set(key, field, value)
    return value
  end

  local function learn(key, fields)
    if #fields == 0 then return end
    local known = hash(key).known
    for at = 1, #fields, 1000 do
      local last = math.min(#fields, at + 999)
      for i, value in ipairs(redis.call('HMGET', key, unpack(fields, at, last))) do
        known[fields[at + i - 1]] = value
      end
    end
  end

  -- A node as it is stored, or false.
  local function packed_node(wid, n)
    local packed = blobs[wid] and blobs[wid][n]
    if packed == nil then packed = redis.call('HGET', path(wid).key, n) end
    return packed
  end

  local function node(wid, n)
    local of = nodes[wid]
    if not of then
      of = {}
      nodes[wid] = of
    end
    local found = of[n]
    if found == nil then
      local packed = packed_node(wid, n)
      found = false
      if packed then
        found = unpack_head(packed)
        packed_of[found] = packed
      end
      of[n] = found
    end
    return found
  end

  local function meta_of(f, at)
    return { finish = f[at], keep = tonumber(f[at + 1] or 0), parent = f[at + 2], place = f[at + 3] }
  end

  local function meta(wid)
    if not metas[wid] then
      metas[wid] = meta_of(redis.call('HMGET', path(wid).key, 'end', 'keep', 'parent', 'place'), 1)
    end
    return metas[wid]
  end

  -- Those of some fields that are not known yet; from now on they are, once they have been read.
  local function lacking(known, fields)
    local found = {}
    for _, field in ipairs(fields) do
      if known[field] == nil then
        known[field] = false
        found[#found + 1] = field
      end
    end
    return found
  end

  -- The state of a simple node that is queued. When it ends, this is all that has to be known of it: whether somebody
  -- takes its value, and the number of the one after it, or ''.
  local function queued_state(wanted, after) return (wanted == 1 and 'q1' or 'q0') .. after end

  local function is_queued_state(state) return state and string.byte(state) == QUEUED end

  -- What such a state says, or nothing.
  local function read_queued_state(state)
    if is_queued_state(state) and #state > 1 then return string.byte(state, 2) - 48, string.sub(state, 3) end
  end

  local function learn_nodes(wid, fields)
    local known, key = blobs[wid], path(wid).key
    for at = 1, #fields, 1000 do
      local asked = { unpack(fields, at, math.min(#fields, at + 999)) }
      local count = #asked
      if not metas[wid] then
        for _, name in ipairs({ 'end', 'keep', 'parent', 'place' }) do asked[#asked + 1] = name end
      end
      local found = redis.call('HMGET', key, unpack(asked))
      for i = 1, count do known[asked[i]] = found[i] end
      if not metas[wid] then metas[wid] = meta_of(found, count + 1) end
    end
  end

  -- Read nodes that are going to be looked at, and their states.
  local function foresee(wid, wanted)
    local states = path(wid).states
    blobs[wid] = blobs[wid] or {}
    local known, of = blobs[wid], hash(states).known
    local fields, more = lacking(known, wanted), lacking(of, wanted)
    learn_nodes(wid, fields)
    for _, n in ipairs(fields) do
      if known[n] and string.sub(known[n], 1, 1) ~= 't' and of['c' .. n] == nil then more[#more + 1] = 'c' .. n end
    end
    learn(states, more)
  end

  -- Read the states of nodes that have ended, and then what those say comes next, or else the nodes themselves.
  local function foresee_ends(wid, wanted)
    local states = path(wid).states
    local of, nodes = hash(states).known, {}
    local more = lacking(of, wanted)
    if of.open == nil then more[#more + 1] = 'open' end
    learn(states, more)
    for _, n in ipairs(wanted) do
      local _, after = read_queued_state(of[n])
      if after ~= '' then nodes[#nodes + 1] = after or n end
    end
    foresee(wid, nodes)
  end

  local function prefetch(last)
    local asked, ends = {}, {}
    for i = head, last do
      local item = items[i]
      local of, wid = item[1] == 'done' and ends or asked, item[2]
      local list = of[wid]
      if not list then
        list = {}
        of[wid] = list
      end
      list[#list + 1] = item[3]
    end
    for wid, list in pairs(ends) do foresee_ends(wid, list) end
    for wid, list in pairs(asked) do foresee(wid, list) end
    return last
  end

  local function names_of(key)
    local names = redis.call('HGET', key, 'names')
    return names and cmsgpack.unpack(names) or {}
  end

  local function spread(wid, n, def, op, a, b)
    if def[PAGES] > 0 then
      for page = 0, def[PAGES] - 1 do add('page', wid, n, { op, page, a }, b) end
    else
      for _, m in ipairs(def[TO]) do add(op, wid, tostring(m), a, b) end
    end
  end

  -- Nodes are open no more.
  local function less(wid, count) closing[wid] = (closing[wid] or 0) + count end

  -- After the last one the workflow is kept for as long as results are.
  local function close(wid)
    local at = path(wid)
    if tonumber(get(at.states, 'open')) > 0 then return end
    local keep = meta(wid).keep
    if not get(at.states, 'bad') then redis.call('UNLINK', at.values) end
    if keep > 0 then
      for _, name in pairs(at) do redis.call('PEXPIRE', name, keep) end
    end
    for name, n in pairs(names_of(at.key)) do
      -- Unless it has been sent again meanwhile.
      if redis.call('HGET', prefix .. 'wf:names', name) == wid .. '.' .. n then redis.call('HDEL', prefix .. 'wf:names', name) end
    end
  end

  -- Write what has changed.
  local function write()
    for wid, count in pairs(closing) do increase(path(wid).states, 'open', -count) end
    for key, of in pairs(hashes) do
      local pairs_ = {}
      for field, value in pairs(of.changed) do
        pairs_[#pairs_ + 1] = field
        pairs_[#pairs_ + 1] = value
      end
      of.changed = {}
      for at = 1, #pairs_, 1000 do
        redis.call('HSET', key, unpack(pairs_, at, math.min(#pairs_, at + 999)))
      end
    end
    for wid in pairs(closing) do close(wid) end
    closing = {}
  end

  local function queue_up(queue, priority, id, message, value)
    if not streams[queue] then streams[queue] = {} end
    local stream = streams[queue][priority]
    if not stream then
      stream = prefix .. 'q:' .. queue .. ':' .. priority -- a number takes as long to become text as all the rest here
      streams[queue][priority] = stream
    end
    if value then
      redis.call('XADD', stream, '*', 'i', id, 'm', message, 'v', value)
    else
      redis.call('XADD', stream, '*', 'i', id, 'm', message)
    end
  end

  local function push(def, id, value)
    local due, message = def[DUE], message_of(packed_of[def])
    if def[DELAY] > 0 then due = now + def[DELAY] end
    if due > now then
      delay(prefix, id, def[QUEUE], def[PRIORITY], message, due)
      announce(prefix, due)
    else
      queue_up(def[QUEUE], def[PRIORITY], id, message, value)
    end
  end

  -- The error handlers of a node are called for the failure of `subject`, but for those that heard of it elsewhere.
  local function call_handlers(wid, def, subject, failure, heard)
    local states = path(wid).states
    for _, h in ipairs(def[ON_ERROR]) do
      local token = h .. '.' .. subject
      if not (heard and heard[tostring(h)]) and not get(states, token) then
        set(states, token, 'q')
        local handler = node(wid, tostring(h))
        increase(states, 'open', 1)
        if handler then push(handler, handler[ID] .. '.' .. subject, failure) end
      end
    end
  end

  local function ended(wid, n)
    local state = get(path(wid).states, n)
    return state and FINAL[string.sub(state, 1, 1)]
  end

  local failed

  -- The call of an error handler has ended, in whatever way.
  function self.handled(wid, token)
    local states = path(wid).states
    if get(states, token) == 'q' then
      set(states, token, 'd')
      less(wid, 1)
    end
  end

  local function is_call(n) return string.find(n, '.', 1, true) end

  -- It is the turn of a node: if it is a simple one, that is all there is to do. Returns whether it was, and its kind.
  local function go_simple(wid, n, value)
    local packed, states = packed_node(wid, n), path(wid).states
    if not packed then return true end
    local kind, simple, wanted, takes, priority, id, queue, after, size, at = struct.unpack(GLANCE, packed)
    if simple == 0 then return false, kind end
    if not get(states, n) then
      set(states, n, queued_state(wanted, after))
      queue_up(queue, priority, id, string.sub(packed, at + size), takes == 1 and value or nil)
    end
    return true
  end

  -- It is the turn of a node after a simple one.
  local function follow(wid, n, before, value)
    local gone, kind = go_simple(wid, n, value)
    if gone then return end
    local count = 'c' .. n
    if kind ~= 't' and tonumber(get(path(wid).states, count) or 0) > 1 then increase(path(wid).states, count, -1)
    else add('go', wid, n, before, value) end
  end

  -- A node has ended well.
  local function done(wid, n, value)
    if is_call(n) then return self.handled(wid, n) end
    local at = path(wid)
    local simple, wanted, after = 1, read_queued_state(get(at.states, n))
    if not after then
      local packed = packed_node(wid, n)
      if not packed or ended(wid, n) then return end
      local _
      _, simple, wanted, _, _, _, _, after = struct.unpack(GLANCE, packed)
    end
    set(at.states, n, 'd')
    local given = wanted == 1 and value
    if given then set(at.values, n, given) end
    if simple == 1 then
      if after ~= '' then follow(wid, after, n, given and #given <= INLINE_VALUE and given or nil) end
    else
      local def = node(wid, n)
      spread(wid, n, def, 'go', n, given and #given * #def[TO] <= INLINE_VALUE and given or nil)
    end
    local about = meta(wid)
    if about.finish == n and about.parent then add('done', about.parent, about.place, nil, value) end
    less(wid, 1)
  end

  -- It is the turn of a node, as far as the one before it is concerned.
  local function go(wid, n, from, value)
    local gone, kind = go_simple(wid, n, value)
    if gone then return end
    local states = path(wid).states
    if kind == 't' then
      if not get(states, n) then
        local def = node(wid, n)
        set(states, n, 'q')
        push(def, def[ID], def[AFTER] > 0 and value or nil)
      end
    elseif increase(states, 'c' .. n, -1) == 0 then
      done(wid, n)
    end
  end

  self.go = go

  -- A node cannot run, since the end of `origin` was a bad one.
  local function upstream(wid, n, from, origin)
    local def = node(wid, n)
    if not def then return end
    if def[KIND] == 'a' then return go(wid, n, from) end
    if ended(wid, n) then return end
    local states, values = path(wid).states, path(wid).values
    set(states, n, 'u' .. origin)
    if def[KIND] == 't' then
      local before = node(wid, tostring(from))
      local body = before and before[KIND] ~= 't'
      local record = get(values, (body and 'x' or 'u') .. origin)
      if record then table.insert(records, { def[ID], '1' .. record, meta(wid).keep }) end
      local first = node(wid, origin)
      if body and #def[ON_ERROR] > 0 and first and string.sub(get(states, origin) or '', 1, 1) == 'f' then
        local heard = {}
        for _, h in ipairs(first[ON_ERROR]) do heard[tostring(h)] = true end
        call_handlers(wid, def, n, nil, heard)
      end
    end
    spread(wid, n, def, 'upstream', n, origin)
    local about = meta(wid)
    if about.finish == n and about.parent then
      local letter = string.sub(get(states, origin) or 'f', 1, 1)
      local failure, after, chord = get(values, 'f' .. origin), get(values, 'u' .. origin), get(values, 'x' .. origin)
      add('failed', about.parent, about.place, { letter, failure or '', after or '', chord or '' })
    end
    less(wid, 1)
  end

  -- A task has ended badly by itself ('f'), or was revoked ('r').
  failed = function(wid, n, letter, failure, after, chord, quiet)
    if is_call(n) then return self.handled(wid, n) end
    local def = node(wid, n)
    if not def or ended(wid, n) then return end
    local at = path(wid)
    set(at.states, n, letter)
    set(at.states, 'bad', 1)
    set(at.values, 'f' .. n, failure)
    set(at.values, 'u' .. n, after)
    set(at.values, 'x' .. n, chord)
    if letter == 'f' and not quiet then
      call_handlers(wid, def, n, failure)
      local about, subject, inner = meta(wid), n, def
      -- It is a part of what others handle the errors of, unless it belongs to a link there.
      while about.parent and inner and not inner[LINKED] do
        local outer = node(about.parent, about.place)
        subject = about.place .. '.' .. subject
        if outer and #outer[ON_ERROR] > 0 then
          -- The failure is kept there as well: a handler that is called again has to find it.
          set(path(about.parent).values, 'f' .. subject, failure)
          call_handlers(about.parent, outer, subject, failure)
        end
        about, inner = meta(about.parent), outer
      end
    end
    spread(wid, n, def, 'upstream', n, n)
    local about = meta(wid)
    if about.finish == n and about.parent then
      add('failed', about.parent, about.place, { letter, failure, after, chord })
    end
    less(wid, 1)
  end

  -- A task has ended; `work` makes of it what follows.
  function self.ends(wid, n, letter, value, after, chord)
    if letter == 'd' then add('done', wid, n, nil, value)
    else add('ends', wid, n, { letter, value, after, chord }) end
  end

  -- It is kept until it ends, and its tasks are found by the ids that their sender chose.
  function self.reopen(wid)
    local at = path(wid)
    for _, name in pairs(at) do redis.call('PERSIST', name) end
    for name, n in pairs(names_of(at.key)) do redis.call('HSET', prefix .. 'wf:names', name, wid .. '.' .. n) end
  end

  -- A stored workflow begins, in the place of a node if one is named.
  function self.start(wid, parent, place)
    local at = path(wid)
    if not node(wid, '0') or get(at.states, '0') then return end
    set(at.states, '0', 'd')
    if parent then
      redis.call('HSET', at.key, 'parent', parent, 'place', place)
      set(path(parent).states, 'g' .. place, wid)
      metas[wid] = nil
    end
    self.reopen(wid)
    spread(wid, '0', node(wid, '0'), 'go', '0', nil)
  end

  -- A stored workflow becomes one more member of a group, and of those that the members of that one belong to.
  function self.join(wid, parent, join, packed)
    local key, states = path(parent).key, path(parent).states
    local blob = redis.call('HGET', key, join)
    if not blob then return end
    local n = tostring(redis.call('HINCRBY', key, 'total', 1))
    local group = unpack_node(blob)
    local into = { tonumber(join), unpack(group[16] or {}) }
    local member, message = unpack_node(packed)
    member[11] = into
    member[9], member[15] = group[9], group[15] or false -- what fails in it is told to the handlers of the group
    redis.call('HSET', key, n, pack_node(member, message))
    set(states, n, 'q')
    increase(states, 'open', 1)
    local changed = { n }
    for _, one in ipairs(into) do
      one = string.format('%d', one)
      increase(states, 'c' .. one, 1)
      local f, data = unpack_node(redis.call('HGET', key, one))
      local page = one .. '<' .. math.floor(f[13] / 500)
      local members = redis.call('HGET', key, page)
      members = members and cmsgpack.unpack(members) or {}
      table.insert(members, tonumber(n))
      f[13] = f[13] + 1
      redis.call('HSET', key, page, cmsgpack.pack(members), one, pack_node(f, data))
      table.insert(changed, one)
    end
    for _, known in ipairs({ blobs[parent] or {}, nodes[parent] or {} }) do
      for _, one in ipairs(changed) do known[one] = nil end
    end
    self.start(wid, parent, n)
  end

  -- Everything that has not ended is revoked, from node n on.
  local function revoke(wid, n)
    local key, states = path(wid).key, path(wid).states
    local told = redis.call('HGET', key, 'revoked')
    if not told then return end
    local record, terminate, remember = unpack(cmsgpack.unpack(told))
    local total, ids, count = tonumber(redis.call('HGET', key, 'total') or 0), {}, 0
    local last = math.min(tonumber(n) + 199, total)
    local wanted, grafts = {}, {}
    for i = tonumber(n), last do
      wanted[#wanted + 1] = tostring(i)
      grafts[#grafts + 1] = 'g' .. i
    end
    foresee(wid, wanted)
    learn(states, grafts)
    set(states, 'bad', 1)
    for _, m in ipairs(wanted) do
      local def = node(wid, m)
      if def and def[KIND] ~= 'h' and not ended(wid, m) then
        local queued = is_queued_state(get(states, m))
        set(states, m, 'r')
        count = count + 1
        local graft = get(states, 'g' .. m)
        if graft then
          redis.call('HSET', path(graft).key, 'revoked', told)
          add('revoke', graft, '1')
        elseif def[KIND] == 't' then
          table.insert(records, { def[ID], '1' .. record, meta(wid).keep })
          if queued and not undelay(prefix, def[ID]) then
            redis.call('ZADD', prefix .. 'revoked', now + remember, def[ID])
            table.insert(ids, def[ID])
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
    redis.call('HSET', path(wid).key, 'revoked', cmsgpack.pack({ record, terminate, remember }))
    local about = meta(wid)
    if about.parent then failed(about.parent, about.place, 'r', failure, after, chord) end
    add('revoke', wid, '1')
  end

  -- Whether a message of the node's own waits or runs.
  function self.is_queued(wid, n)
    local states = path(wid).states
    return is_queued_state(get(states, n)) and not get(states, 'g' .. n)
  end

  -- One node is revoked, and what goes on in its place.
  function self.revoke_one(wid, n, record, terminate, remember, failure, after, chord)
    local graft = get(path(wid).states, 'g' .. n)
    if graft and redis.call('EXISTS', path(graft).key) == 1 then
      self.revoke_all(graft, record, terminate, remember, failure, after, chord)
    end
    failed(wid, n, 'r', failure, after, chord)
  end
  self.ended = ended

  -- The state of a node, or for how many a join waits, as somebody else has found it to be.
  function self.set(wid, field, value) set(path(wid).states, field, value) end

  -- The message of a task was dropped: it ends as revoked.
  function self.abandon(id, failure, after, chord)
    local wid, n = place_of(prefix, id)
    if wid then return failed(wid, n, 'r', failure, after, chord) end
    local of, call = call_of(id)
    if of then self.handled(of, call) end
  end

  local function page(wid, n, about, b)
    local op, number, a = unpack(about)
    local packed = redis.call('HGET', path(wid).key, n .. '>' .. number)
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
      if head > fetched then fetched = prefetch(math.min(#items, head + budget - spent - 1)) end
      local op, wid, n, a, b = unpack(items[head], 1, 5)
      head = head + 1
      spent = spent + 1
      if op == 'go' then go(wid, n, a, b)
      elseif op == 'upstream' then upstream(wid, n, a, b)
      elseif op == 'page' then page(wid, n, a, b)
      elseif op == 'done' then done(wid, n, b)
      elseif op == 'ends' then failed(wid, n, a[1], a[2], a[3], a[4])
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
    write()
    local left = head <= #items
    if left then redis.pcall('PUBLISH', prefix .. 'notices', 'due') end
    store(prefix, now, records)
    records = {}
    return left
  end

  return self
end
