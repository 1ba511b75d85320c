-- After the broker was away, every lease looks as if it had ended, though the workers live. So when it is another
-- process than the one we know (its run_id), nobody is declared dead for one visibility timeout.
local function note_epoch(prefix, now, timeout)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  local known = redis.call('HGET', prefix .. 'epoch', 'run')
  if known == run then return math.min(tonumber(redis.call('HGET', prefix .. 'epoch', 'truce') or 0) or 0, now + timeout) end
  local truce = known and now + timeout or 0
  redis.call('HSET', prefix .. 'epoch', 'run', run, 'truce', truce)
  return truce
end
