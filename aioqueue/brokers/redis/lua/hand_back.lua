-- Hands back what a worker holds: but for what is named ('keep'), only what is named ('these'), or everything and then
-- the lease ('leave').
-- KEYS[1] prefix    ARGV worker, limit, mode, names of streams, '', entries as stream NUL id
-- Returns {entries moved, 1 if there is more, why something could not be moved or ''}: that stays where it is, until the
-- streams take it.
-- flags: allow-oom
-- use: kinds
-- use: mending
-- use: early
-- use: cargo
-- use: hand_back
local prefix, worker, left, mode = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local leaving = mode == 'leave'
local streams, at = {}, 4
while ARGV[at] ~= '' do
  table.insert(streams, ARGV[at])
  at = at + 1
end
local named = {}
for i = at + 1, #ARGV do named[ARGV[i]] = true end

if leaving then
  local wrong = wrong_kind(prefix, { leases = 'zset', fallen = 'set', workers = 'hash' })
  if wrong then return wrong end
end
local moved, rest, cargo = 0, 0, a_cargo()
local early, problem = early_of(prefix, worker)
for _, name in ipairs(problem and {} or streams) do
  local stream, entries = prefix .. name, {}
  local all, wrong = held(stream, worker, leaving and left + 1 or 100000)
  problem = problem or wrong
  for _, entry in ipairs(all) do
    if (named[name .. '\0' .. entry] or false) == (mode == 'these') then
      if left > 0 then
        table.insert(entries, entry)
        left = left - 1
      else
        rest = 1
      end
    end
  end
  local went, why, more = hand_back(stream, worker, entries, false, early, cargo)
  moved, problem = moved + went, problem or why
  if more then rest = 1 end
end
if leaving and rest == 0 then
  if problem then
    redis.call('SADD', prefix .. 'fallen', worker) -- others take over what it could not hand back
  else
    redis.call('DEL', prefix .. 'early:' .. worker)
    for _, name in ipairs(streams) do redis.pcall('XGROUP', 'DELCONSUMER', prefix .. name, 'workers', worker) end
  end
  redis.call('ZREM', prefix .. 'leases', worker)
  redis.call('HDEL', prefix .. 'workers', worker)
end
return { moved, rest, problem or '' }
