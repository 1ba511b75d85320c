-- What is known of workflows: their nodes, and what is said of each as a whole. Adds its functions to `self`.
local function reading(self)
  local prefix, get, learn, hash = self.prefix, self.get, self.learn, self.hash
  -- By workflow: its keys, its nodes as they are stored, their heads, what is said of the whole. And by head where its
  -- node is.
  local paths, blobs, nodes, metas, place_of_head = {}, {}, {}, {}, {}
  self.paths, self.metas, self.place_of_head = paths, metas, place_of_head

  -- Whether it is the id of one, which we have made: others might name a key that is something else.
  local function is_workflow(wid) return type(wid) == 'string' and #wid == 36 and not string.find(wid, '[^%w-]') end
  self.is_workflow = is_workflow

  -- The keys of a workflow.
  local function path(wid)
    local found = paths[wid]
    if not found then
      if not is_workflow(wid) then error('this is no workflow') end
      local key, states, values = kept(prefix, wid)
      found = { key = key, states = states, values = values }
      paths[wid] = found
    end
    return found
  end
  self.path = path

  local function is_heavy(wid) return get(path(wid).states, 'heavy') end

  -- A node as it is stored, or false.
  local function packed_node(wid, n)
    local packed = blobs[wid] and blobs[wid][n]
    if packed == nil then
      local key = path(wid).key
      packed = not hash(key).lost and redis.call('HGET', key, n)
      if packed and is_heavy(wid) then self.cargo.left = self.cargo.left - #packed end
    end
    return packed
  end
  self.packed_node = packed_node

  -- The head of a node, or false.
  function self.node(wid, n)
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
        place_of_head[found] = { wid, n }
      end
      of[n] = found
    end
    return found
  end

  -- A node, or a page, is another one from now on.
  function self.replace(wid, field, packed)
    self.set(path(wid).key, field, packed)
    blobs[wid], nodes[wid] = blobs[wid] or {}, nodes[wid] or {}
    blobs[wid][field], nodes[wid][field] = packed, nil
  end

  local function meta_of(finish, keep, outer, place)
    keep = tonumber(keep or 0)
    if keep ~= -1 and not is_count(keep, 2 ^ 53) then error('it does not say for how long it is kept') end
    return { finish = finish, keep = keep, outer = outer, place = place }
  end

  -- Which node is the end of a workflow, for how many ms it is kept, and the workflow (outer) and the node there in
  -- whose place it goes on, which are stored as `parent` and `place`; where the nodes are lost, from its states.
  local function meta(wid)
    if not metas[wid] then
      local at = path(wid)
      local function read(key) return unpack(redis.call('HMGET', key, 'end', 'keep', 'parent', 'place'), 1, 4) end
      metas[wid] = meta_of(read(at.key))
      if not metas[wid].finish then metas[wid] = meta_of(read(at.states)) end
    end
    return metas[wid]
  end
  self.meta = meta

  -- A field of what is said of the whole, where it still is.
  local function said(wid, field) return get(path(wid).key, field) or get(path(wid).states, field) end
  self.said = said

  function self.say(wid, field, value)
    self.set(path(wid).key, field, value)
    self.set(path(wid).states, field, value)
  end

  function self.names_of(wid) return unpack_names(said(wid, 'names')) end

  -- Something of a workflow is missing. Of one that has been forgotten all is, and nothing is to be done.
  function self.is_missing(wid, what)
    if meta(wid).finish or get(path(wid).states, 'open') then error(what .. ' is missing') end
  end

  function self.ended(wid, n)
    local state = get(path(wid).states, n)
    return state and state ~= '' and string.find(STATE.FINAL, string.sub(state, 1, 1), 1, true) and true
  end

  function self.is_open(wid) return (tonumber(get(path(wid).states, 'open') or 0) or 0) > 0 end

  -- For how long the record of one of its tasks that ends now is kept, where it is known and has not ended.
  function self.keeping(wid)
    local open = tonumber(get(path(wid).states, 'open') or 0) or 0
    if open + (self.closing[wid] or 0) <= 0 then return nil end
    return meta(wid).keep < 0 and -1 or 0
  end

  -- The same, of one that may be no workflow at all.
  function self.perhaps_keeping(wid)
    local readable, keep = pcall(self.keeping, wid)
    return readable and keep or nil
  end

  -- Those of some fields that are not known yet; from now on they are, once they have been read.
  local function lacking(known, fields)
    local found, count = {}, 0
    for i = 1, #fields do
      local field = fields[i]
      if known[field] == nil then
        known[field] = false
        count = count + 1
        found[count] = field
      end
    end
    return found
  end

  local function learn_nodes(wid, fields)
    local known, key = blobs[wid], path(wid).key
    if hash(key).lost then return end
    for at = 1, #fields, LIMIT.VALUES do
      local asked = { unpack(fields, at, math.min(#fields, at + LIMIT.VALUES - 1)) }
      local count = #asked
      if not metas[wid] then
        asked[count + 1], asked[count + 2], asked[count + 3], asked[count + 4] = 'end', 'keep', 'parent', 'place'
      end
      local found = redis.call('HMGET', key, unpack(asked))
      for i = 1, count do known[asked[i]] = found[i] end
      if not metas[wid] and found[count + 1] then metas[wid] = meta_of(unpack(found, count + 1, count + 4)) end
    end
  end

  -- Read nodes that are going to be looked at, and their states.
  local function foresee(wid, wanted)
    local states = path(wid).states
    local of = hash(states).known
    if is_heavy(wid) then return learn(states, lacking(of, wanted)) end
    blobs[wid] = blobs[wid] or {}
    local known = blobs[wid]
    local fields, more = lacking(known, wanted), lacking(of, wanted)
    learn_nodes(wid, fields)
    local a_task = string.byte(KIND.TASK)
    for i = 1, #fields do
      local n = fields[i]
      if known[n] and string.byte(known[n]) ~= a_task and of['c' .. n] == nil then more[#more + 1] = 'c' .. n end
    end
    learn(states, more)
  end
  self.foresee = foresee

  -- Read the states of nodes that have ended, and then what those say comes next, or else the nodes themselves.
  local function foresee_ends(wid, wanted)
    local states = path(wid).states
    local of, next_ones = hash(states).known, {}
    local more = lacking(of, wanted)
    if of.open == nil then more[#more + 1] = 'open' end
    if of.grafts == nil then more[#more + 1] = 'grafts' end
    if of.heavy == nil then more[#more + 1] = 'heavy' end
    learn(states, more)
    local count = 0
    for i = 1, #wanted do
      local n = wanted[i]
      local _, successor = read_queued_state(of[n])
      if successor ~= '' then
        count = count + 1
        next_ones[count] = successor or n
      end
    end
    foresee(wid, next_ones)
  end

  -- Read what steps will look at, for each workflow at once.
  function self.foresee_items(items, first, last)
    local asked, ends = {}, {}
    for i = first, last do
      local item = items[i]
      local wid, n = item[WORK.workflow], item[WORK.node]
      local of = item[WORK.op] == 'done' and ends or asked
      local list = of[wid]
      if list then list[#list + 1] = n else of[wid] = { n } end
    end
    for wid, list in pairs(ends) do foresee_ends(wid, list) end
    for wid, list in pairs(asked) do foresee(wid, list) end
  end
end
