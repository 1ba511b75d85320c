-- Sends due times of schedules, and notes what comes after each: both or neither.
-- KEYS[1] prefix    ARGV[1] plan (CLAIMS, in `plans.py`)
--   a claim is as in Python (CLAIM), with the place of its name in ARGV, and its messages as `enqueue` takes them (MESSAGE)
-- ARGV[2..] names, and the messages' data
-- Returns a letter per claim, as ClaimVerdict, or 'd' for one of whose ids another call has taken; after the letters a line
-- for each of that and of 'b': which, and why.
-- D7: what is claimed has to be what is stored, so a due time is sent once, whoever claims it. Repeated with the same number
-- it changes nothing.
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
-- use: schedules
local prefix, plan = KEYS[1], cmsgpack.unpack(ARGV[1])
local client, number, until_when = plan[CLAIMS.client], plan[CLAIMS.number], plan[CLAIMS.until_when]
local max_length, claims = plan[CLAIMS.most], plan[CLAIMS.claims]

local before = answered(prefix, client, number)
if before then return before end
local now = clock(plan[CLAIMS.offset])
if now > until_when then return answer(prefix, client, number, string.rep('l', #claims)) end
local wrong = wrong_kind(prefix, SCHEDULE_KINDS)
if wrong then return wrong end

local send = parcels(prefix, now)

local function take(claim)
  local name = ARGV[claim[CLAIM.name]]
  local state = read_schedule(redis.call('HGET', prefix .. 'schedules:state', name))
  if not state or state[SCHEDULE.revision] ~= claim[CLAIM.revision] or state[SCHEDULE.due] ~= claim[CLAIM.due] then return 'g' end
  local messages, keep = claim[CLAIM.messages], claim[CLAIM.keep]
  local letter, reason = send(messages, max_length)
  if letter == 'f' then return letter end
  if letter ~= '1' then return letter == 'x' and 'b' or letter, reason end
  local recent = {}
  for _, id in ipairs(state[SCHEDULE.recent]) do recent[#recent + 1] = id end
  for _, message in ipairs(messages) do recent[#recent + 1] = message[MESSAGE.id] end
  if #messages > 0 then state[SCHEDULE.last_id] = recent[#recent] end
  state[SCHEDULE.recent] = { unpack(recent, math.max(1, #recent - keep + 1)) }
  state[SCHEDULE.due], state[SCHEDULE.at] = claim[CLAIM.next_due], claim[CLAIM.next_at]
  state[SCHEDULE.last_due] = claim[CLAIM.last_due] or state[SCHEDULE.last_due]
  state[SCHEDULE.runs] = state[SCHEDULE.runs] + #messages
  state[SCHEDULE.misfires] = state[SCHEDULE.misfires] + claim[CLAIM.missed]
  keep_state(prefix, name, state)
  return '1'
end

local letters, reasons = {}, ''
for i, claim in ipairs(claims) do
  local letter, reason = take(claim)
  letters[i] = letter
  if reason then reasons = reasons .. '\n' .. reason end
end
return answer(prefix, client, number, table.concat(letters) .. reasons)
