-- A request that is repeated because its reply was lost must change nothing and give the same answer.
-- Each client numbers its requests and has one under way at a time, so the last answer is all there is to keep.
-- How long: any repeat comes within it, or the client has given up.
local KEEP_ANSWERS = '600000' -- text: a number takes long to become it

local function answered(prefix, client, number)
  local last = redis.pcall('GET', prefix .. 'answer:' .. client)
  if type(last) ~= 'string' then return nil end
  local before, answer = string.match(last, '^(%d+):(.*)$') -- else it is none of ours, and is replaced
  if before and tonumber(before) >= number then return answer end
  return nil
end

local function answer(prefix, client, number, text)
  -- Not by '%s', which ends at a NUL.
  redis.call('SET', prefix .. 'answer:' .. client, string.format('%d:', number) .. text, 'PX', KEEP_ANSWERS)
  return text
end
