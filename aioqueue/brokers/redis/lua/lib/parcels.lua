-- Sends parcels: messages that go together or not at all. Returns a function that does so with one, and at most so many messages
-- in a queue (see `most_of`); it returns a letter: '1' sent, 'f' refused because a queue of it is full, 'd' because an id of
-- it is that of another call, 'x' because a key of it is not what it should be; and after the last three, which and why.
local function parcels(prefix, now)
  local lengths = {}

  local function full(parcel, max_length, known)
    local more = {}
    for i, message in ipairs(parcel) do
      local queue, later = message[MESSAGE.queue], message[MESSAGE.delay] > 0 or message[MESSAGE.due] > now
      if not (known[i] or later) then more[queue] = (more[queue] or 0) + 1 end
    end
    for queue, count in pairs(more) do
      local most = most_of(max_length, queue)
      if most then
        lengths[queue] = lengths[queue] or length_of(prefix, queue)
        if lengths[queue] + count > most then return queue end
      end
    end
    for queue, count in pairs(more) do lengths[queue] = lengths[queue] and lengths[queue] + count end
  end

  return function(parcel, max_length)
    local kinds = kinds_for(parcel)
    local wrong, known, other = kinds and wrong_kind(prefix, kinds), nil, nil
    if kinds and not wrong then known, other = known_already(prefix, parcel) end
    if other then return 'd', other end
    local queue = not wrong and max_length ~= 0 and full(parcel, max_length, known or {})
    if queue then return 'f', queue end
    wrong = wrong or enqueue(prefix, now, parcel, adding(), known)
    if wrong then return 'x', (string.gsub(wrong.err, '\n', ' ')) end
    return '1'
  end
end
