-- Make tasks that look as if they had been sent: what one sent task left in the server, again and again, each under an id
-- of its own.
--
-- ARGV[1] the part of its id that differs from task to task, as long as "%08x"
-- ARGV[2] the number of the first, ARGV[3] how many
-- ARGV[4] … commands that make that one task anew, each as the number of its words and these
-- returns how many
local mark, first, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function split(text)
  local parts, from = {}, 1
  while true do
    local at = string.find(text, mark, from, true)
    parts[#parts + 1] = string.sub(text, from, at and at - 1)
    if not at then return parts end
    from = at + #mark
  end
end

local templates, at = {}, 4
while at <= #ARGV do
  local words, length = {}, tonumber(ARGV[at])
  for i = 1, length do words[i] = split(ARGV[at + i]) end
  templates[#templates + 1] = words
  at = at + 1 + length
end

for number = first, first + count - 1 do
  local id = string.format('%08x', number)
  for _, words in ipairs(templates) do
    local made = {}
    for j, parts in ipairs(words) do made[j] = #parts == 1 and parts[1] or table.concat(parts, id) end
    redis.call(unpack(made))
  end
end
return count
