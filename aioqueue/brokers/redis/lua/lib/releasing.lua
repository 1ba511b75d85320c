-- The end of a workflow. The records of its tasks are kept for as long as it is open, and then for as long as it is itself;
-- what goes on in a place belongs to the workflow of that place. Adds its functions to `self`, on demand.
local function releasing(self)
  local prefix, get, set, path, meta, is_open = self.prefix, self.get, self.set, self.path, self.meta, self.is_open
  local releases, survivors = self.releases, {}
  local function let_go(wid, from, keep, cursor) releases[#releases + 1] = { wid, from, keep, cursor } end

  local function at_last(effect) self.last_effects[#self.last_effects + 1] = effect end

  -- Whether a workflow belongs to another one that is open.
  local function survived(wid)
    local passed, found = {}, false
    while survivors[wid] == nil do
      local about = meta(wid)
      if not about.outer or is_call(about.place or '.') or passed[wid] then break end
      passed[wid] = true
      wid = about.outer
      if is_open(wid) then
        found = true
        break
      end
    end
    if survivors[wid] ~= nil then found = survivors[wid] end
    for one in pairs(passed) do survivors[one] = found end
    return found
  end

  -- Keys are kept for so many ms; -1 is no longer.
  local function keep_all(names, keep)
    if keep >= 0 then
      keep = string.format('%d', keep) -- a number takes as long to become text as the command does
      for i = 1, #names do redis.call('PEXPIRE', names[i], keep) end
    else
      for at = 1, #names, LIMIT.VALUES do
        redis.call('UNLINK', unpack(names, at, math.min(#names, at + LIMIT.VALUES - 1)))
      end
    end
  end

  -- What a share of the error handlers' calls have given goes; `cursor` is where to go on, or '' at the beginning.
  local function release_calls(wid, keep, cursor)
    local ids, states = {}, path(wid).states
    cursor = cursor == '' and '0' or cursor
    local next_one, calls = unpack(redis.call('HSCAN', states, cursor, 'MATCH', '[0-9]*.*', 'COUNT', LIMIT.STEPS))
    for i = 1, #calls, 2 do ids[#ids + 1] = prefix .. 'r:' .. wid .. '.' .. calls[i] end
    let_go(wid, 1, keep, next_one == '0' and 'through' or next_one)
    if #ids > 0 then at_last(function() keep_all(ids, -1) end) end
    return LIMIT.STEPS
  end

  -- What went on in the place of some nodes is let go with them, as far as it has ended.
  local function release_grafts(states, first, last, keep)
    local fields = {}
    for i = first, last do fields[#fields + 1] = string.format('g%d', i) end
    self.learn(states, fields)
    for _, field in ipairs(fields) do
      local graft = get(states, field)
      if graft and is_open(graft) and keep < 0 then self.say(graft, 'keep', -1) end
      if graft and (keep < 0 or not is_open(graft)) then let_go(graft, 1, keep, '') end
    end
  end

  -- What is kept under the ids that its sender chose, unless they are another's by now.
  local function keep_named(wid, names, keep)
    for name, n in pairs(names) do
      local place = wid .. '.' .. string.format('%d', n)
      if redis.pcall('GET', prefix .. 'wf:at:' .. name) == place then
        keep_all({ prefix .. 'r:' .. name, prefix .. 'wf:at:' .. name }, keep)
      elseif redis.pcall('HGET', prefix .. 'wf:names', name) == place then
        keep_all({ prefix .. 'r:' .. name }, keep)
      end
    end
  end

  -- From node n on, the records of a workflow are kept for so many ms, and in the end the workflow itself; -1 is no longer.
  local function release(wid, n, keep, cursor)
    local at = path(wid)
    if keep < 0 and n == 1 and cursor ~= 'through' and get(at.states, 'bad') then return release_calls(wid, keep, cursor) end
    local total = tonumber(self.said(wid, 'total') or 0)
    if not total or total == 0 then return 0 end
    if not is_count(total, 2 ^ 40) then error('it does not say how many nodes it has') end
    local last, open, records = math.min(n + LIMIT.STEPS - 1, total), is_open(wid), {}
    local before = prefix .. 'r:' .. wid .. '.'
    for i = n, last do records[i - n + 1] = before .. string.format('%d', i) end
    local names = n == 1 and self.names_of(wid) or {}
    if get(at.states, 'grafts') then release_grafts(at.states, n, last, keep) end
    if last < total then let_go(wid, last + 1, keep, '') end
    at_last(function()
      keep_all(records, keep)
      keep_named(wid, names, keep)
      if last < total or open then return end
      if keep < 0 then return redis.call('UNLINK', at.key, at.states, at.values) end
      for _, name in pairs(at) do redis.call('PEXPIRE', name, keep) end
    end)
    return #records
  end

  -- A share of what is to be let go; the rest is left over.
  function self.release_some(most)
    local at, count = 1, 0
    while at <= #releases and count < most do
      count = count + 1 + release(unpack(releases[at], 1, 4))
      at = at + 1
    end
    for i = at, #releases do
      local wid, n, keep, cursor = unpack(releases[i], 1, 4)
      self.rest[#self.rest + 1] = cmsgpack.pack({ 'release', wid, string.format('%d', n), keep, cursor })
    end
  end

  -- After the last one the workflow is kept for as long as results are.
  function self.close(wid)
    local at = path(wid)
    local keep, bad = meta(wid).keep, get(at.states, 'bad')
    local names = self.names_of(wid)
    for name, n in pairs(names) do names[name] = wid .. '.' .. n end
    if keep ~= 0 and not survived(wid) then let_go(wid, 1, keep, '') end
    if next(names) then self.kinds['wf:names'] = 'hash' end
    if not bad then self.hash(at.values).changed = {} end
    self.later(function()
      if not bad then redis.call('UNLINK', at.values) end
      for name, place in pairs(names) do
        -- Unless it has been sent again meanwhile.
        if redis.call('HGET', prefix .. 'wf:names', name) == place then
          redis.call('HDEL', prefix .. 'wf:names', name)
          redis.call('DEL', prefix .. 'sent:' .. name) -- of a task that went on as this
          if keep >= 0 then redis.call('SET', prefix .. 'wf:at:' .. name, place) end
        end
      end
    end)
  end

  -- All that is known of a workflow is forgotten: what has ended now, all else when the last of it ends.
  function self.forget(wid)
    if is_open(wid) then
      self.say(wid, 'keep', -1)
      meta(wid).keep = -1
    end
    let_go(wid, 1, -1, '')
  end
end
