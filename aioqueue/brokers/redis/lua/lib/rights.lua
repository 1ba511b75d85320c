-- Scripts are not rolled back: what the user may not do is known before the first write. Returns an error, or nil.
local function forbidden(command, key, ...)
  if not redis.acl_check_cmd(command, key, ...) then
    return redis.error_reply('NOPERM This user may not run ' .. command .. ' on ' .. key .. '; nothing was changed')
  end
end
