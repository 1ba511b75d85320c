-- The beginning of workflows: of those that are sent, of those that go on in the place of a node, and of those that become
-- one more member of a group. Adds its functions to `self`, on demand.
local function beginning(self)
  local get, set, path = self.get, self.set, self.path

  -- It is kept until it ends, and its tasks are found by the ids that their sender chose.
  function self.reopen(wid)
    local at = path(wid)
    local names = self.names_of(wid)
    if next(names) then self.kinds['wf:names'] = 'hash' end
    self.later(function()
      for _, name in pairs(at) do redis.call('PERSIST', name) end
      for name, n in pairs(names) do
        redis.call('HSET', self.prefix .. 'wf:names', name, wid .. '.' .. n)
        redis.call('DEL', self.prefix .. 'wf:at:' .. name)
      end
    end)
  end

  -- A stored workflow begins, in the place of a node if one is named.
  function self.start(wid, outer, place)
    if not self.is_workflow(wid) then return end
    local at = path(wid)
    if not self.node(wid, '0') or get(at.states, '0') then return end
    set(at.states, '0', STATE.DONE)
    if outer then
      local about = self.meta(wid)
      about.outer, about.place = outer, place
      self.say(wid, 'parent', outer)
      self.say(wid, 'place', place)
      set(path(outer).states, 'g' .. place, wid)
      set(path(outer).states, 'grafts', 1)
    end
    self.reopen(wid)
    self.spread(wid, '0', self.node(wid, '0'), 'go', '0', nil)
  end

  -- A node becomes the last member of a group.
  local function add_member(wid, group, n)
    local key = path(wid).key
    self.increase(path(wid).states, 'c' .. group, 1)
    local head, data = unpack_node(self.packed_node(wid, group))
    local page = group .. '<' .. math.floor(head[NODE.members] / LIMIT.PAGE)
    local members = get(key, page)
    members = members and cmsgpack.unpack(members) or {}
    table.insert(members, tonumber(n))
    head[NODE.members] = head[NODE.members] + 1
    set(key, page, cmsgpack.pack(members))
    self.replace(wid, group, pack_node(head, data))
  end

  -- A stored workflow becomes one more member of a group, and of those that the members of that one belong to.
  function self.join(wid, outer, join, packed_member)
    local packed = self.packed_node(outer, join)
    if not packed then return self.is_missing(outer, 'node ' .. join) end
    local n = tostring(self.increase(path(outer).key, 'total', 1))
    self.say(outer, 'total', n)
    local group = unpack_node(packed)
    local into = { tonumber(join), unpack(group[NODE.joins] or {}) }
    local member, message = unpack_node(packed_member)
    member[NODE.to] = into
    -- What fails in it is told to the handlers of the group.
    member[NODE.on_error], member[NODE.linked] = group[NODE.on_error], group[NODE.linked] or false
    self.replace(outer, n, pack_node(member, message))
    set(path(outer).states, n, STATE.QUEUED)
    self.increase(path(outer).states, 'open', 1)
    for _, one in ipairs(into) do add_member(outer, string.format('%d', one), n) end
    self.start(wid, outer, n)
  end
end
