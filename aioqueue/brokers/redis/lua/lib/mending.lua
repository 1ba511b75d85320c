-- A stream in which somebody has put an entry with the last of all ids takes no more, even when that entry is gone. Returns
-- where to add instead: to the same stream, made anew, when it is empty, else to the front of its queue; nil for any other
-- error.
local function instead_of(stream, wrong)
  if not string.find(wrong, 'exhausted', 1, true) then return nil end
  if redis.call('XLEN', stream) == 0 then
    redis.call('UNLINK', stream)
    return stream
  end
  local front = string.gsub(stream, ':[^:]*$', ':front')
  return front ~= stream and front or nil
end
