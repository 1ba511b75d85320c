-- Bad ends: what comes after a node that failed or was revoked cannot run any more, and its error handlers are called. Adds
-- its functions to `self`, on demand.
local function bad_ends(self)
  local get, set, path, node, meta = self.get, self.set, self.path, self.node, self.meta

  -- A node cannot run, since the end of `origin` was a bad one.
  function self.upstream(wid, n, from, origin)
    local head = node(wid, n)
    if not head then return self.is_missing(wid, 'node ' .. n) end
    if head[NODE.kind] == KIND.LENIENT then return self.go(wid, n, from) end
    if self.ended(wid, n) then return end
    local states, values = path(wid).states, path(wid).values
    set(states, n, STATE.UPSTREAM .. origin)
    if head[NODE.kind] == KIND.TASK then
      local before = node(wid, tostring(from))
      local body = before and before[NODE.kind] ~= KIND.TASK
      local record = get(values, (body and 'x' or 'u') .. origin)
      if record then table.insert(self.records, { head[NODE.id], '1' .. record, self.keeping(wid) or meta(wid).keep }) end
      local first = node(wid, origin)
      if body and #head[NODE.on_error] > 0 and first and string.sub(get(states, origin) or '', 1, 1) == STATE.FAILED then
        local heard = {}
        for _, h in ipairs(first[NODE.on_error]) do heard[tostring(h)] = true end
        self.call_handlers(wid, head, n, nil, heard)
      end
    end
    self.spread(wid, n, head, 'upstream', n, origin)
    local about = meta(wid)
    if about.finish == n and about.outer then
      local letter = string.sub(get(states, origin) or STATE.FAILED, 1, 1)
      local failure, upstream, chord = get(values, 'f' .. origin), get(values, 'u' .. origin), get(values, 'x' .. origin)
      self.todo('failed', about.outer, about.place, { letter, failure or '', upstream or '', chord or '' })
    end
    self.less(wid, 1)
  end

  -- Those who handle the errors of a node hear of a failure, and so do those of what it is a part of.
  local function tell_handlers(wid, n, head, failure)
    self.call_handlers(wid, head, n, failure)
    local about, subject, inner, depth = meta(wid), n, head, 0
    -- It is a part of what others handle the errors of, unless it belongs to a link there.
    while about.outer and inner and not inner[NODE.linked] do
      depth = depth + 1
      if depth > 1000 then error('it is a part of itself') end
      local stands_for = node(about.outer, about.place)
      subject = about.place .. '.' .. subject
      if stands_for and #stands_for[NODE.on_error] > 0 then
        -- The failure is kept there as well: a handler that is called again has to find it.
        set(path(about.outer).values, 'f' .. subject, failure)
        self.call_handlers(about.outer, stands_for, subject, failure)
      end
      about, inner = meta(about.outer), stands_for
    end
  end

  -- A task has ended badly by itself (FAILED), or was revoked (REVOKED). `quiet` is for one whose handlers have heard.
  function self.failed(wid, n, letter, failure, upstream, chord, quiet)
    if is_call(n) then return self.handler_ended(wid, n) end
    local head, at = node(wid, n), path(wid)
    if self.ended(wid, n) then return end
    if not head then
      if get(at.states, n) then self.is_missing(wid, 'node ' .. n) end
      return
    end
    if not get(at.states, 'open') then error('the states of its nodes are missing') end
    set(at.states, n, letter)
    set(at.states, 'bad', 1)
    set(at.values, 'f' .. n, failure)
    set(at.values, 'u' .. n, upstream)
    set(at.values, 'x' .. n, chord)
    if letter == STATE.FAILED and not quiet then tell_handlers(wid, n, head, failure) end
    self.spread(wid, n, head, 'upstream', n, n)
    local about = meta(wid)
    if about.finish == n and about.outer then
      self.todo('failed', about.outer, about.place, { letter, failure, upstream, chord })
    end
    self.less(wid, 1)
  end

  -- The message of a task was dropped: it ends as revoked, with a record that is kept for so long, if one is given.
  function self.abandon(id, failure, upstream, chord, record, keep)
    local wid, n = place_of(self.prefix, id)
    if record then table.insert(self.records, { id, record, wid and self.perhaps_keeping(wid) or keep }) end
    if wid then return self.failed(wid, n, STATE.REVOKED, failure, upstream, chord) end
    local of, call = call_of(id)
    if of then self.handler_ended(of, call) end
  end
end
