-- Where the nodes of workflows are: `wf:<workflow>` and what belongs to it, and the nodes of tasks.
local function kept(prefix, wid)
  local key = prefix .. 'wf:' .. wid
  return key, key .. ':s', key .. ':v'
end

-- The workflow and the node of a task: in its id, or kept apart where the sender chose the id.
local function place_of(prefix, id)
  local wid, n = string.match(id, '^([%w-]+)%.(%d+)$')
  -- An id of the sender's own may look like that, and `wf:names` is no workflow.
  if wid and #wid == 36 and redis.call('HEXISTS', prefix .. 'wf:' .. wid, n) == 1 then return wid, n end
  local named = redis.call('HGET', prefix .. 'wf:names', id)
  if named then return string.match(named, '^([^.]+)%.(%d+)$') end
end

-- The same of an id that the sender chose, after the workflow's end: the id is free then, but what it gave is kept.
local function past_place_of(prefix, id)
  local named = redis.pcall('GET', prefix .. 'wf:at:' .. id)
  if type(named) == 'string' then return string.match(named, '^([%w-]+)%.(%d+)$') end
end

-- The workflow and the token of an error handler's call.
local function call_of(id)
  local wid, call = string.match(id, '^([^.]+)%.(%d+%.[%d.]+)$')
  if wid and #wid == 36 then return wid, call end
end

local function is_call(n) return string.find(n, '.', 1, true) end

-- The ids that the sender of a workflow chose, with their nodes; none where that cannot be read.
local function unpack_names(packed)
  if not packed then return {} end
  local readable, names = pcall(cmsgpack.unpack, packed)
  if not readable or type(names) ~= 'table' then return {} end
  for name, n in pairs(names) do
    if type(name) ~= 'string' or not is_count(n, 2 ^ 53) then return {} end
  end
  return names
end
