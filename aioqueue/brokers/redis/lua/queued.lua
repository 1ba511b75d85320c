-- Which tasks wait in some streams, where no worker has them. Of each stream the newest entries are looked at, 500 or 16 MiB.
-- KEYS[1] prefix    ARGV number of streams, the streams, ids; one that ends with a dot stands for all tasks of a workflow
-- Returns for each id 1 if it does, else 0. Writes nothing.
-- flags: no-writes,allow-oom
local prefix, streams = KEYS[1], tonumber(ARGV[1])
local index_of, answer = {}, {}
for at = streams + 2, #ARGV do
  index_of[ARGV[at]] = at - streams - 1
  answer[at - streams - 1] = 0
end

-- Where the entries begin that were delivered to nobody; nil when that cannot be said.
local function undelivered(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  for _, group in ipairs(groups) do
    for at = 1, #group, 2 do
      if group[at] == 'last-delivered-id' then
        if group[at + 1] == '18446744073709551615-18446744073709551615' then return nil end
        return '(' .. group[at + 1]
      end
    end
  end
  return '-'
end

local function look(stream)
  local first, last, seen, bytes = undelivered(stream), '+', 0, 0
  while first and seen < 500 and bytes < 16777216 do
    local entries = redis.pcall('XREVRANGE', stream, last, first, 'COUNT', 20)
    if entries.err or #entries == 0 then return end
    for _, entry in ipairs(entries) do
      for at = 1, #entry[2] - 1, 2 do
        local value = entry[2][at + 1]
        bytes = bytes + #value
        if entry[2][at] == 'i' then
          for _, name in ipairs({ value, string.match(value, '^[^.]*%.') }) do
            if index_of[name] then answer[index_of[name]] = 1 end
          end
        end
      end
    end
    seen, last = seen + #entries, '(' .. entries[#entries][1]
  end
end

for at = 2, streams + 1 do look(prefix .. ARGV[at]) end
return answer
