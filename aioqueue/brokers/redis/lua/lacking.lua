-- Which commands this user may not run: asked of the server's rights, nothing is run.
-- KEYS[1] prefix    ARGV[1] msgpack: commands, each a list of its words; keys and channels stand in them after the prefix
-- Returns the indices of those that are refused, from 1; those that the server does not know are not among them.
-- Writes nothing.
-- flags: no-writes,allow-oom
local prefix, lacking = KEYS[1], {}
for at, words in ipairs(cmsgpack.unpack(ARGV[1])) do
  for i, word in ipairs(words) do
    if string.sub(word, 1, 1) == '@' then words[i] = prefix .. string.sub(word, 2) end
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then lacking[#lacking + 1] = at end
end
return lacking
