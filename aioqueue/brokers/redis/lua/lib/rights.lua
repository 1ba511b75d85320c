-- Scripts are not rolled back: what the user may not do is known before the first write. Returns an error, or nil.
local function forbidden(calls)
  for _, call in ipairs(calls) do
    if not redis.acl_check_cmd(unpack(call)) then
      return redis.error_reply('NOPERM This user may not run ' .. call[1] .. ' on ' .. call[2] .. '; nothing was changed')
    end
  end
end
