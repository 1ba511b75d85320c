-- Revoking: of one node, and of all that has not ended of a workflow. Adds its functions to `self`, on demand.
local function revoking(self)
  local prefix, get, set, path, meta = self.prefix, self.get, self.set, self.path, self.meta
  local AT_ONCE = 200

  -- A read of what all share: if that is not what it should be, nobody of those who need it is to blame.
  local function shared(reply)
    if type(reply) == 'table' and reply.err then error({ wait = reply.err }) end
    return reply
  end

  -- Takes a message out that waits for its time. Returns whether there is one.
  function self.withdraw(id)
    if not shared(redis.pcall('ZSCORE', prefix .. 'delayed', id)) then return false end
    self.needs_delayed()
    self.later(function() undelay(prefix, id) end)
    return true
  end

  -- The message of a task is dropped when it is met.
  function self.remember_revoked(id, until_when)
    self.kinds['revoked'] = 'zset'
    self.later(function() redis.call('ZADD', prefix .. 'revoked', until_when, id) end)
  end

  -- Whether a message of the node's own waits or runs.
  function self.is_queued(wid, n)
    local states = path(wid).states
    return is_queued_state(get(states, n)) and not get(states, 'g' .. n)
  end

  -- What is to be revoked of a node: its head, or nothing if it has ended. Of a wreck that may have to be guessed; `named`
  -- are the ids that its sender chose, by node.
  local function revocable(wid, n, wrecked, named)
    local head
    if wrecked then
      local readable, found = pcall(self.node, wid, n)
      head = readable and found or { [NODE.kind] = KIND.TASK, [NODE.id] = named[n] or wid .. '.' .. n }
      if head[NODE.kind] == KIND.TASK and redis.pcall('GETRANGE', prefix .. 'r:' .. head[NODE.id], 0, 0) == '1' then
        return nil -- it had ended, whatever is known of it here
      end
    else
      head = self.node(wid, n)
    end
    return head and head[NODE.kind] ~= KIND.HANDLER and not self.ended(wid, n) and head or nil
  end

  -- Everything that has not ended is revoked, from node n on.
  function self.revoke(wid, n)
    local key, states = path(wid).key, path(wid).states
    local told = get(key, 'revoked')
    if not told then return end
    local record, terminate, remember, wrecked = unpack(cmsgpack.unpack(told))
    local total, ids, count = tonumber(get(key, 'total') or 0), {}, 0
    if not is_count(total, 2 ^ 40) then error('it does not say how many nodes it has') end
    local last = math.min(tonumber(n) + AT_ONCE - 1, total)
    local wanted, grafts = {}, {}
    for i = tonumber(n), last do
      wanted[#wanted + 1] = tostring(i)
      grafts[#grafts + 1] = 'g' .. i
    end
    self.foresee(wid, wanted)
    self.learn(states, grafts)
    set(states, 'bad', 1)
    local named = {}
    for name, m in pairs(wrecked and self.names_of(wid) or {}) do named[string.format('%d', m)] = name end
    for i, m in ipairs(wanted) do
      if self.cargo.left <= 0 then
        last = tonumber(n) + i - 2
        break
      end
      local head = revocable(wid, m, wrecked, named)
      if head then
        local queued = is_queued_state(get(states, m))
        set(states, m, STATE.REVOKED)
        count = count + 1
        local graft = get(states, 'g' .. m)
        if graft then
          if redis.call('EXISTS', path(graft).key) == 1 then
            set(path(graft).key, 'revoked', told)
            self.todo('revoke', graft, '1')
          end
        elseif head[NODE.kind] == KIND.TASK then
          local id = head[NODE.id]
          -- Of a wreck nobody knows when it ends.
          local keep = not wrecked and self.keeping(wid) or meta(wid).keep
          table.insert(self.records, { id, '1' .. record, keep })
          if queued and not self.withdraw(id) then
            self.remember_revoked(id, self.now + remember)
            table.insert(ids, id)
          end
        end
      end
    end
    self.spend(AT_ONCE)
    if last < total then self.todo('revoke', wid, tostring(last + 1)) end
    if #ids > 0 then
      local notice = cmsgpack.pack({ NOTICE.TasksRevoked, ids, terminate })
      self.later(function() redis.pcall('PUBLISH', prefix .. 'notices', notice) end)
    end
    if wrecked and last >= total then self.closing[wid] = tonumber(get(states, 'open')) -- with whatever else was to end
    elseif count > 0 and not wrecked then self.less(wid, count) end
  end

  function self.revoke_all(wid, record, terminate, remember, failure, upstream, chord)
    local about = meta(wid)
    set(path(wid).key, 'revoked', cmsgpack.pack({ record, terminate, remember }))
    if about.outer then self.failed(about.outer, about.place, STATE.REVOKED, failure, upstream, chord) end
    self.todo('revoke', wid, '1')
  end

  -- One node is revoked, and what goes on in its place.
  function self.revoke_one(wid, n, record, terminate, remember, failure, upstream, chord)
    local graft = get(path(wid).states, 'g' .. n)
    if graft and redis.call('EXISTS', path(graft).key) == 1 then
      self.revoke_all(graft, record, terminate, remember, failure, upstream, chord)
    end
    self.failed(wid, n, STATE.REVOKED, failure, upstream, chord)
  end
end
