-- Scripts are not rolled back: what a key must be is checked before the first write. Returns an error, or nil.
local function wrong_kind(prefix, kinds)
  for name, kind in pairs(kinds) do
    local found = redis.call('TYPE', prefix .. name).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE ' .. prefix .. name .. ' is a ' .. found .. ', not a ' .. kind)
    end
  end
end
