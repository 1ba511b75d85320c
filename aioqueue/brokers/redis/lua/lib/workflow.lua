-- Workflows: what the end of one node means for the others. See `aioqueue/workflow.py` for the terms.
--   wf:<id>    hash: <n> a node, packed; <n>>k and <n><k pages of what comes after it and of its members; `end`,
--              `keep` (-1 if it is forgotten and only has to end), `total`, `parent` and `place` of what it stands for;
--              `revoked` {record, terminate} if all of it is
--   wf:<id>:s  hash: <n> its state, which of a simple node that is queued says what is to be done when it ends
--              (`queued_state`); c<n> for how many a join waits; g<n> the workflow that goes on in its place;
--              <h>.<n> the call of handler h for n; `open` nodes that are to end; `bad` once one has ended badly; `grafts`
--              once there is a g<n>; `heavy` if a node is large: then nodes are read one by one, as many as a script may move;
--              and what is said of the whole once more (`end`, `keep`, `total`, `names`, `parent`, `place`), should the nodes
--              be lost
--   wf:<id>:v  hash: <n> its value; f<n> its failure, u<n> and x<n> the records of what comes after it, as that and as
--              the body of a chord
--   wf:at:<id> of an id that a sender chose: the workflow and the node that had it last, for as long as those are kept and
--              until the id is used again; `wf:names` has it until their end
--   work       list: what was left over when a script had done its share; `promote` goes on with it
-- D2: a node ends once, for its state is looked at first. D8: a bad end reaches all that comes after it. Cost: each node
-- is visited once for each that it comes after. What is read is read for many nodes at once.
-- D12: first `decide`, which only reads, and says what is wrong where bytes are not what they should be; then `add`, which
-- does all or nothing; then `write`, where nothing can fail.
-- use: node
-- use: places
-- use: hashes
-- use: reading
-- use: handlers
-- use: bad_ends
-- use: beginning
-- use: revoking
-- use: wrecking
-- use: releasing
-- How many nodes come after one; of those that are on pages, not more than so many.
local function count_successors(head)
  return head[NODE.pages] > 0 and head[NODE.pages] * LIMIT.PAGE or #head[NODE.to]
end

-- A node has ended well, and it is the turn of others.
local function turns(self)
  local get, set, path, is_missing = self.get, self.set, self.path, self.is_missing
  local adds, streams = self.adds, {}

  -- It is the turn of all nodes after one.
  function self.spread(wid, n, head, op, a, b)
    if head[NODE.pages] > 0 then
      for page = 0, head[NODE.pages] - 1 do self.todo('page', wid, n, { op, page, a }, b) end
    else
      for _, m in ipairs(head[NODE.to]) do self.todo(op, wid, tostring(m), a, b) end
    end
  end

  -- A value, if so many copies of it may go along with messages; else it is asked for by those that take it.
  function self.inline(value, copies)
    return value and #value * copies <= LIMIT.INLINE_VALUE and value or nil
  end

  local function queue_up(queue, priority, id, message, value)
    if not streams[queue] then streams[queue] = {} end
    local stream = streams[queue][priority]
    if not stream then
      stream = self.prefix .. 'q:' .. queue .. ':' .. priority -- a number takes as long to become text as all the rest here
      streams[queue][priority] = stream
    end
    local many = self.many
    adds[many + 1], adds[many + 2], adds[many + 3], adds[many + 4] = stream, id, message, value or false
    self.many = many + 4
  end

  function self.needs_delayed()
    local kinds = self.kinds
    kinds['delayed'], kinds['delayed:data'], kinds['delayed:count'] = 'zset', 'hash', 'hash'
  end

  function self.push(head, id, value)
    local due, queue, priority = head[NODE.due], head[NODE.queue], head[NODE.priority]
    local message = message_of(self.packed_node(unpack(self.place_of_head[head])))
    if head[NODE.delay] > 0 then due = self.now + head[NODE.delay] end
    if due <= self.now then return queue_up(queue, priority, id, message, value) end
    self.needs_delayed()
    self.later(function()
      delay(self.prefix, id, queue, priority, message, due)
      announce(self.prefix, due)
    end)
  end

  -- It is the turn of a node: if it is a simple one, that is all there is to do. Returns whether it was, and its kind.
  local function go_simple(wid, n, value)
    local packed, states = self.packed_node(wid, n), path(wid).states
    if not packed then
      is_missing(wid, 'node ' .. n)
      return true
    end
    local kind, simple, wanted, takes, priority, id, queue, successor, size, at = struct.unpack(GLANCE.FORMAT, packed)
    if simple == 0 then return false, kind end
    if kind ~= KIND.TASK or simple ~= 1 or priority > 9 then error('a node is not of our making') end
    if not get(states, n) then
      set(states, n, queued_state(wanted, successor))
      queue_up(queue, priority, id, string.sub(packed, at + size), takes == 1 and value or nil)
    end
    return true
  end

  -- It is the turn of a node after a simple one.
  local function follow(wid, n, before, value)
    if self.cargo.left <= 0 then return self.todo('go', wid, n, before, value) end
    local gone, kind = go_simple(wid, n, value)
    if gone then return end
    local states, count = path(wid).states, 'c' .. n
    if kind ~= KIND.TASK and tonumber(get(states, count) or 0) > 1 then self.increase(states, count, -1)
    else self.todo('go', wid, n, before, value) end
  end

  -- A node has ended well.
  local function done(wid, n, value)
    local at = path(wid)
    local simple, wanted, successor = 1, read_queued_state(get(at.states, n))
    if not successor then
      if is_call(n) then return self.handler_ended(wid, n) end
      if self.ended(wid, n) then return end
      local packed = self.packed_node(wid, n)
      if not packed then
        if get(at.states, n) then is_missing(wid, 'node ' .. n) end
        return
      end
      local _
      _, simple, wanted, _, _, _, _, successor = struct.unpack(GLANCE.FORMAT, packed)
    end
    if not get(at.states, 'open') then error('the states of its nodes are missing') end
    set(at.states, n, STATE.DONE)
    local given = wanted == 1 and value
    if given then set(at.values, n, given) end
    if simple == 1 then
      if successor ~= '' then follow(wid, successor, n, self.inline(given, 1)) end
    else
      local head = self.node(wid, n)
      self.spread(wid, n, head, 'go', n, self.inline(given, count_successors(head)))
    end
    local about = self.meta(wid)
    if about.finish == n and about.outer then self.todo('done', about.outer, about.place, nil, value) end
    self.less(wid, 1)
  end
  self.done = done

  -- It is the turn of a node, as far as the one before it is concerned.
  function self.go(wid, n, from, value)
    local gone, kind = go_simple(wid, n, value)
    if gone then return end
    local states = path(wid).states
    if kind == KIND.TASK then
      if not get(states, n) then
        local head = self.node(wid, n)
        set(states, n, STATE.QUEUED)
        self.push(head, head[NODE.id], head[NODE.takes] and value or nil)
      end
    else
      if not get(states, 'c' .. n) then error('for how many ends node ' .. n .. ' waits is missing') end
      if self.increase(states, 'c' .. n, -1) == 0 then done(wid, n) end
    end
  end
end

-- What most steps do not need is made when it is asked for first: that takes longer than they do.
local function on_demand(self)
  local pieces = {
    handler_ended = handlers, call_handlers = handlers,
    failed = bad_ends, upstream = bad_ends, abandon = bad_ends,
    start = beginning, join = beginning, reopen = beginning,
    revoke = revoking, revoke_all = revoking, revoke_one = revoking, withdraw = revoking, remember_revoked = revoking,
    is_queued = revoking, wreck = wrecking,
    close = releasing, forget = releasing, release_some = releasing,
  }
  return setmetatable(self, {
    __index = function(_, name)
      local piece = pieces[name]
      if not piece then return nil end
      piece(self)
      return rawget(self, name)
    end,
  })
end

-- Steps that read nodes other than what has ended: not all of them at once, where nodes are large.
local MOVING = { go = true, page = true, upstream = true, revoke = true }

-- Decides and does what follows from some steps, a share of it in one script.
local function workflows(prefix, now)
  local items, spent, budget = {}, 0, LIMIT.STEPS
  local self = {
    prefix = prefix, now = now, cargo = a_cargo(), untimely = false,
    -- What is to be queued: four values for each, and how many there are; what else is to be written when all is decided,
    -- as no command there can fail; records; keys that are to be of a kind, and those that are broken; and how many nodes of
    -- each workflow are open no more.
    adds = {}, many = 0, effects = {}, last_effects = {}, records = {}, kinds = {}, broken = {}, closing = {},
    -- What is to be let go: {workflow, from which node on, for how long it is kept, cursor}.
    releases = {},
    -- What is left over, packed.
    rest = {},
  }

  -- A step that is to be made: what, of which workflow and node, and what that takes.
  function self.todo(op, wid, n, a, b) items[#items + 1] = { op, wid, n, a, b } end

  function self.later(effect) self.effects[#self.effects + 1] = effect end

  -- Nodes are open no more.
  function self.less(wid, count) self.closing[wid] = (self.closing[wid] or 0) + count end

  -- It may take so many steps.
  function self.allow(steps) budget = math.max(budget, steps) end

  function self.spend(steps) spent = spent + steps end

  hashes(self)
  reading(self)
  turns(self)
  on_demand(self)

  -- A task has ended; `decide` makes of it what follows.
  function self.ends(wid, n, letter, value, upstream, chord)
    if letter == STATE.DONE then self.todo('done', wid, n, nil, value)
    else self.todo('ends', wid, n, { letter, value, upstream, chord }) end
  end

  -- What was left over, to be gone on with; each piece as it was decoded from the list.
  function self.go_on(item)
    self.todo(item[WORK.op], item[WORK.workflow], item[WORK.node], item[WORK.about], item[WORK.value])
  end

  local function page(wid, n, about, b)
    local op, number, a = unpack(about)
    local packed = redis.call('HGET', self.path(wid).key, n .. '>' .. number)
    for _, m in ipairs(packed and cmsgpack.unpack(packed) or {}) do self.todo(op, wid, tostring(m), a, b) end
  end

  -- Whether a node can have ended: not one whose turn has not come, for it has no message. Others may send one.
  local function is_its_turn(wid, n)
    if self.get(self.path(wid).states, n) or is_call(n) then return true end
    if self.get(self.path(wid).states, 'open') and self.meta(wid).finish then
      self.untimely = self.untimely or {}
      self.untimely[wid .. '.' .. n] = true
      return false
    end
    return true
  end

  local function release(wid, n, keep, cursor)
    local from, keep_for = tonumber(n), tonumber(keep)
    if not is_count(from, 2 ^ 53) or (keep_for ~= -1 and not is_count(keep_for, 2 ^ 53)) then error('this is no work of ours') end
    self.releases[#self.releases + 1] = { wid, from, keep_for, cursor or '' }
  end

  -- A value need not be kept twice: who takes it asks for it.
  local function leave_over(op, wid, n, a, b)
    if op == 'go' or (op == 'page' and unpack(a) == 'go') then b = nil end
    self.rest[#self.rest + 1] = cmsgpack.pack({ op, wid, n, a or '', b })
  end

  -- Of the bad ends, 'ends' is a task's own, and 'failed' that of what went on in a node's place: of that its handlers have
  -- heard. (Words of which some are in `work` are not to be changed.)
  local function make(op, wid, n, a, b)
    if self.cargo.left <= 0 and MOVING[op] then leave_over(op, wid, n, a, b)
    elseif op == 'done' then if is_its_turn(wid, n) then self.done(wid, n, b) end
    elseif op == 'go' then self.go(wid, n, a, b)
    elseif op == 'page' then page(wid, n, a, b)
    elseif op == 'upstream' then self.upstream(wid, n, a, b)
    elseif op == 'ends' then if is_its_turn(wid, n) then self.failed(wid, n, unpack(a, 1, 4)) end
    elseif op == 'failed' then
      local letter, failure, upstream, chord = unpack(a, 1, 4)
      self.failed(wid, n, letter, failure, upstream, chord, true)
    elseif op == 'revoke' then self.revoke(wid, n)
    elseif op == 'release' then release(wid, n, a, b)
    else error('this is no work of ours') end
  end

  -- A share of what follows from the steps that a function takes, and what is left over.
  local function run(steps)
    steps()
    local at, foreseen = 1, 0
    while at <= #items and spent < budget do
      if at > foreseen then
        foreseen = math.min(#items, at + budget - spent - 1)
        self.foresee_items(items, at, foreseen)
      end
      at = at + 1
      spent = spent + 1
      local item = items[at - 1]
      make(item[WORK.op], item[WORK.workflow], item[WORK.node], item[WORK.about], item[WORK.value])
    end
    for i = at, #items do leave_over(unpack(items[i], 1, 5)) end
    for wid, count in pairs(self.closing) do
      self.increase(self.path(wid).states, 'open', -count)
    end
    for wid in pairs(self.closing) do
      if not self.is_open(wid) then self.close(wid) end
    end
    if #self.releases > 0 then self.release_some(2 * budget) end
    if #self.rest > 0 then self.kinds['work'] = 'list' end
  end

  -- What follows from the steps that a function takes: a share of it, and what is left over. Nothing is written. Returns
  -- an error if a workflow is not what it should be (REFUSED), or something that all share.
  function self.decide(steps)
    local fine, wrong = pcall(run, steps)
    if fine then return next(self.kinds) and wrong_kind(prefix, self.kinds) end
    if type(wrong) == 'table' and wrong.wait then return redis.error_reply(wrong.wait) end
    return redis.error_reply('REFUSED ' .. (type(wrong) == 'table' and wrong.err or tostring(wrong)))
  end

  -- The writes that may fail: the first ones. Returns an error; the values that are left then are overwritten when it is
  -- tried again.
  function self.add(added)
    for _, key in ipairs(self.broken) do redis.call('UNLINK', key) end
    for _, at in pairs(self.paths) do
      local wrong = self.write_hash(at.values)
      if wrong then return redis.error_reply('REFUSED ' .. wrong) end
    end
    local adds, add_one = self.adds, added.add
    for i = 1, self.many, 4 do
      local wrong = add_one(adds[i], adds[i + 1], adds[i + 2], adds[i + 3])
      if wrong then return wrong end
    end
  end

  -- All else. Returns whether something is left over.
  function self.write()
    local rest = self.rest
    self.write_hashes()
    for _, effect in ipairs(self.effects) do effect() end
    for at = 1, #rest, LIMIT.VALUES do
      redis.call('RPUSH', prefix .. 'work', unpack(rest, at, math.min(#rest, at + LIMIT.VALUES - 1)))
    end
    if #rest > 0 then redis.pcall('PUBLISH', prefix .. 'notices', NOTICE.Due) end
    keep_records(prefix, now, self.records)
    for _, effect in ipairs(self.last_effects) do effect() end
    return #rest > 0
  end

  -- All of it, one after the other. Returns an error, and then nothing was changed.
  function self.carry_out(steps, added)
    local wrong = self.decide(steps) or self.add(added)
    if wrong then return wrong end
    self.write()
  end

  return self
end
