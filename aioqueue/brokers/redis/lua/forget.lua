-- Forgets tasks: drops their records, and of one at the end of a workflow all that is known of the workflow.
-- KEYS[1] prefix    ARGV clock offset, ids
-- Returns a letter per id: 'w' a whole workflow, '1' a task. Of a workflow that goes on what has ended is dropped now, and
-- what ends later leaves nothing. What is left over is done by `promote`.
-- It may be repeated.
-- flags: allow-oom
-- use: clock
-- use: kinds
-- use: records
-- use: delayed
-- use: queue_names
-- use: adding
-- use: cargo
-- use: workflow
local prefix, now = KEYS[1], clock(tonumber(ARGV[1]))
local letters, wholes, keys = {}, {}, {}

-- The workflow that a task stands for, if it does; nothing where that cannot be read. An id that the sender chose is found in
-- the innermost of those that went on for it, one in the place of the other.
local function whole_of(id)
  local wid, n = place_of(prefix, id)
  if not wid then wid, n = past_place_of(prefix, id) end
  local whole, passed = nil, {}
  while wid and not passed[wid] do
    passed[wid] = true
    local finish, outer, place = unpack(redis.call('HMGET', prefix .. 'wf:' .. wid, 'end', 'parent', 'place'), 1, 3)
    if finish ~= n then break end
    whole, wid, n = wid, outer, place
  end
  return whole
end

for i = 2, #ARGV do
  local id = ARGV[i]
  local readable, wid = pcall(whole_of, id)
  local whole = readable and wid or nil
  letters[#letters + 1] = whole and 'w' or '1'
  keys[#keys + 1] = prefix .. 'r:' .. id
  if whole then wholes[#wholes + 1] = whole end
end

-- Returns an error, and then nothing was changed.
local function forget(some)
  local flows = workflows(prefix, now)
  return flows.carry_out(function()
    for _, wid in ipairs(some) do flows.forget(wid) end
  end, adding())
end

local wrong = forget(wholes)
if wrong and string.find(wrong.err, '^REFUSED') then -- one of them is broken: what there is of it goes
  for _, wid in ipairs(wholes) do
    if forget({ wid }) then redis.call('UNLINK', kept(prefix, wid)) end
  end
elseif wrong then
  return wrong
end
redis.call('UNLINK', unpack(keys))
return table.concat(letters)
