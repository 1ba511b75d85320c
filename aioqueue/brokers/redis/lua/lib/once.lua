-- A request that is repeated because its reply was lost must change nothing and give the same answer.
-- Each client numbers its requests and has one under way at a time, so the last answer is all there is to keep.
-- How long: any repeat comes within it, or the client has given up.
local KEEP_ANSWERS = 600000

local function answered(prefix, client, number)
  local last = redis.call('GET', prefix .. 'answer:' .. client)
  if not last then return nil end
  local before, answer = string.match(last, '^(%d+):(.*)$')
  if tonumber(before) >= number then return answer end
  return nil
end

local function answer(prefix, client, number, text)
  redis.call('SET', prefix .. 'answer:' .. client, string.format('%d:%s', number, text), 'PX', KEEP_ANSWERS)
  return text
end
