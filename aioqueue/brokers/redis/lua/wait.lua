-- Reads records, and registers the client for the news of those tasks that have not ended. In one step, so that no
-- end falls between the reading and the registering (D8).
-- KEYS[1] prefix    ARGV client, clock offset, ids
-- Returns a record per id, or nil; and then why the client could not be registered, where that is so.
-- flags: allow-oom
-- use: clock
-- use: records
local prefix, client = KEYS[1], ARGV[1]
local waiters = waiter_keys(prefix, clock(tonumber(ARGV[2])))[1]
local found, registered, problem = {}, false, nil
for i = 3, #ARGV do
  local id = ARGV[i]
  local record = redis.pcall('GET', prefix .. 'r:' .. id)
  if type(record) == 'table' then record = '1' end -- it is no record, and none will come
  found[i - 2] = record
  if not record or string.sub(record, 1, 1) ~= '1' then
    local new = redis.pcall('HSETNX', waiters, id, client)
    if type(new) == 'table' then
      problem = new.err
    elseif new == 0 then
      local clients = redis.call('HGET', waiters, id)
      if not string.find(' ' .. clients .. ' ', ' ' .. client .. ' ', 1, true) then
        redis.call('HSET', waiters, id, clients .. ' ' .. client)
      end
    end
    registered = true
  end
end
if registered then redis.call('PEXPIRE', waiters, '180000') end
if problem then found[#ARGV - 1] = problem end
return found
