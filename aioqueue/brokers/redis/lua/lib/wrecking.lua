-- Something of a workflow cannot be read, so that it cannot go on: all that has not ended ends with a record. Adds its
-- functions to `self`, on demand.
local function wrecking(self)
  local prefix, get, set = self.prefix, self.get, self.set

  -- What should be a hash, and is not, is one from now on, with nothing in it.
  local function begin_anew(key)
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= 'hash' then self.broken[#self.broken + 1] = key end
    self.hash(key).lost = found ~= 'hash'
  end

  -- Nothing is known of a workflow: those who wait for something of it are told.
  local function tell_waiters(wid, record)
    local told = {}
    for _, waiters in ipairs(waiter_keys(prefix, self.now)) do
      for _, id in ipairs(redis.pcall('HKEYS', waiters)) do
        if string.sub(id, 1, #wid + 1) == wid .. '.' and not told[id]
          and redis.pcall('GETRANGE', prefix .. 'r:' .. id, 0, 0) ~= '1' then
          told[id] = true
          self.records[#self.records + 1] = { id, '1' .. record, LIMIT.KEEP_BROKEN }
        end
      end
    end
  end

  -- What can be right of what is said of a whole workflow.
  local CAN_BE = {
    ['end'] = function(value) return is_count(tonumber(value), 2 ^ 40) end,
    total = function(value) return is_count(tonumber(value), 2 ^ 40) end,
    keep = function(value) return tonumber(value) == -1 or is_count(tonumber(value), 2 ^ 53) end,
    names = function(value) return next(unpack_names(value)) end,
    parent = self.is_workflow,
    place = function(value) return value and string.find(value, '^[%d.]+$') end,
  }

  -- What is said of it, from its nodes or its states; and it is said in both again.
  local function restored(wid, at)
    local found = {}
    for field, can_be in pairs(CAN_BE) do
      local value, copy = get(at.key, field), get(at.states, field)
      found[field] = can_be(value) and value or can_be(copy) and copy or nil
      if found[field] then self.say(wid, field, found[field]) end
    end
    return found
  end

  -- It has no more nodes than fields, as far as there are any.
  local function guessed_total(at)
    local total = 0
    for _, key in ipairs({ at.key, at.states }) do
      if not self.hash(key).lost then total = total + #redis.call('HKEYS', key) end
    end
    return total
  end

  -- Node n has ended, and that could not be applied. What there is of the workflow is kept for its time then, as if it had
  -- ended by itself.
  function self.wreck(wid, n, record, failure, chord)
    local at = self.path(wid)
    for _, key in pairs(at) do begin_anew(key) end
    if self.hash(at.key).lost and self.hash(at.states).lost then
      self.later(function() redis.call('PEXPIRE', at.values, LIMIT.KEEP_BROKEN) end)
      return tell_waiters(wid, record)
    end
    if get(at.key, 'revoked') then return end
    local found = restored(wid, at)
    if not found.total then
      self.say(wid, 'total', guessed_total(at))
      tell_waiters(wid, record)
    end
    if not found.keep then self.say(wid, 'keep', LIMIT.KEEP_BROKEN) end
    local about = {
      finish = found['end'], keep = tonumber(self.said(wid, 'keep')), outer = found.parent, place = found.place,
    }
    self.metas[wid] = about
    if is_count(tonumber(n), 2 ^ 53) then set(at.states, n, STATE.FAILED) end
    if not is_count(tonumber(get(at.states, 'open')), 2 ^ 40) then set(at.states, 'open', self.said(wid, 'total')) end
    set(at.key, 'revoked', cmsgpack.pack({ record, false, LIMIT.KEEP_BROKEN, true }))
    if about.outer then self.failed(about.outer, about.place, STATE.FAILED, failure, record, chord) end
    self.todo('revoke', wid, '1')
  end
end
