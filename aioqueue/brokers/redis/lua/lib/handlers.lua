-- Error handlers: each is called once for each node that failed and has it. Adds its functions to `self`, on demand.
local function handlers(self)
  local get, set, path = self.get, self.set, self.path

  -- The error handlers of a node are called for the failure of `subject`, but for those that heard of it elsewhere.
  function self.call_handlers(wid, head, subject, failure, heard)
    local states = path(wid).states
    local given = self.inline(failure, #head[NODE.on_error])
    for _, h in ipairs(head[NODE.on_error]) do
      local token = h .. '.' .. subject
      if not (heard and heard[tostring(h)]) and not get(states, token) then
        set(states, token, STATE.QUEUED)
        local handler = self.node(wid, tostring(h))
        self.increase(states, 'open', 1)
        if not handler then error('an error handler is missing') end
        self.push(handler, handler[NODE.id] .. '.' .. subject, given)
      end
    end
  end

  -- The call of an error handler has ended, in whatever way.
  function self.handler_ended(wid, token)
    local states = path(wid).states
    if get(states, token) == STATE.QUEUED then
      set(states, token, STATE.DONE)
      self.less(wid, 1)
    end
  end
end
