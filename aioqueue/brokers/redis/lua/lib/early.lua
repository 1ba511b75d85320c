-- Messages that were acknowledged before their end stay lent to their worker, so that they are not lost with it, and are
-- marked in the hash `early:<worker>`: stream NUL entry. Whoever gets one after it finds it marked, and ends it (D8, D9).
local function early_mark(stream, entry) return stream .. '\0' .. entry end

-- Those of a worker, as a set; and why they cannot be looked at, where that is so.
local function early_of(prefix, worker)
  local marks, found = {}, redis.pcall('HKEYS', prefix .. 'early:' .. worker)
  if found.err then return marks, prefix .. 'early:' .. worker .. ' cannot be looked at: ' .. found.err end
  for _, mark in ipairs(found) do marks[mark] = true end
  return marks
end
