-- Sends messages: all of a parcel or none of it.
-- KEYS[1] prefix    ARGV[1] plan (SEND, in `plans.py`, with its rows: PARCEL, MESSAGE)
-- ARGV[2..] the messages' data
-- Returns a letter per parcel: '1' sent, 'f' refused because a queue of it is full, 'x' because a key of it is not what it
-- should be, 'd' because an id of it is that of another call; after the letters a line for each of the last three, which or why.
-- D1: once this has answered, the tasks are in the broker. Repeated with the same number it changes nothing.
-- flags:
-- use: clock
-- use: kinds
-- use: once
-- use: delayed
-- use: mending
-- use: queue_names
-- use: adding
-- use: streams
-- use: own_ids
-- use: enqueue
-- use: lengths
-- use: parcels
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local client, number, queues = plan[SEND.client], plan[SEND.number], plan[SEND.queues]

local before = answered(prefix, client, number)
if before then return before end

if #queues > 0 then
  local wrong = wrong_kind(prefix, { queues = 'set' })
  if wrong then return wrong end
end
local send, letters, reasons = parcels(prefix, clock(plan[SEND.offset])), {}, ''
for i, parcel in ipairs(plan[SEND.parcels]) do
  local letter, reason = send(parcel[PARCEL.messages], parcel[PARCEL.most])
  letters[i] = letter
  if reason then reasons = reasons .. '\n' .. reason end
end
if #queues > 0 then redis.call('SADD', prefix .. 'queues', unpack(queues)) end
return answer(prefix, client, number, table.concat(letters) .. reasons)
