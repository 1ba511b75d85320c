-- What begins while others go on: workflows, in the place of a node or as one more member of a group. Adds its functions to
-- `self`, on demand.
local function growing(self)
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
  function self.start(wid, parent, place)
    if not self.is_workflow(wid) then return end
    local at = path(wid)
    if not self.node(wid, '0') or get(at.states, '0') then return end
    set(at.states, '0', STATE.DONE)
    if parent then
      local about = self.meta(wid)
      about.parent, about.place = parent, place
      self.say(wid, 'parent', parent)
      self.say(wid, 'place', place)
      set(path(parent).states, 'g' .. place, wid)
      set(path(parent).states, 'grafts', 1)
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
  function self.join(wid, parent, join, packed)
    local blob = self.packed_node(parent, join)
    if not blob then return self.is_missing(parent, 'node ' .. join) end
    local n = tostring(self.increase(path(parent).key, 'total', 1))
    self.say(parent, 'total', n)
    local group = unpack_node(blob)
    local into = { tonumber(join), unpack(group[NODE.joins] or {}) }
    local member, message = unpack_node(packed)
    member[NODE.to] = into
    -- What fails in it is told to the handlers of the group.
    member[NODE.on_error], member[NODE.linked] = group[NODE.on_error], group[NODE.linked] or false
    self.replace(parent, n, pack_node(member, message))
    set(path(parent).states, n, STATE.QUEUED)
    self.increase(path(parent).states, 'open', 1)
    for _, one in ipairs(into) do add_member(parent, string.format('%d', one), n) end
    self.start(wid, parent, n)
  end
end
