-- A node: what is seen of it at a glance, its head, and the message. `encode_node` of `aioqueue/workflow.py` makes them.
-- At a glance (GLANCE, there): its kind, 1 if it is simple, 1 if somebody takes its value, 1 if it takes that of the one
-- before it, its priority, id, queue, its one successor or '', and the size of its head; and where that begins. Most nodes are simple: tasks that are
-- not put off, with at most one after them. All that is to be known of those is here, at a fifth of what a head costs.
-- In the head the fields of a `Node` are in their order (NODE.<field>), but for the message.

-- No node has more pages than this, whatever its bytes say: nobody is to be held up by counting them.
local MOST_PAGES = 100000

local function is_count(value, most)
  return type(value) == 'number' and value >= 0 and value <= most and value == math.floor(value)
end

local function unpack_head(packed)
  local _, _, _, _, _, id, queue, _, size, at = struct.unpack(GLANCE.FORMAT, packed)
  local head = cmsgpack.unpack(string.sub(packed, at, at + size - 1))
  local kind = type(head) == 'table' and head[NODE.kind]
  if not kind or not string.find(KIND.ALL, kind, 1, true) or #kind ~= 1
    or not (is_count(head[NODE.pages], MOST_PAGES) and is_count(head[NODE.members], LIMIT.PAGE * MOST_PAGES))
    or not (is_count(head[NODE.priority], 9) and is_count(head[NODE.due], 2 ^ 53) and is_count(head[NODE.delay], 2 ^ 53))
    or not is_count(head[NODE.before], 2 ^ 53)
    or type(head[NODE.to]) ~= 'table' or type(head[NODE.on_error]) ~= 'table' then
    error('a node is not of our making')
  end
  head[NODE.id], head[NODE.queue] = id, queue
  return head
end

local function message_of(packed)
  local _, _, _, _, _, _, _, _, size, at = struct.unpack(GLANCE.FORMAT, packed)
  return string.sub(packed, at + size)
end

local function unpack_node(packed) return unpack_head(packed), message_of(packed) end

local function pack_node(head, data)
  local id, queue = head[NODE.id], head[NODE.queue]
  head[NODE.id], head[NODE.queue] = '', ''
  local packed = cmsgpack.pack(head)
  head[NODE.id], head[NODE.queue] = id, queue
  local wanted, takes = head[NODE.wanted] and 1 or 0, head[NODE.takes] and 1 or 0
  return struct.pack(GLANCE.FORMAT, head[NODE.kind], 0, wanted, takes, head[NODE.priority], #id, id, #queue, queue, 0, '', #packed)
    .. packed .. data
end

-- The state of a simple node that is queued. When it ends, this is all that has to be known of it: whether somebody
-- takes its value, and the number of the one after it, or ''.
local function queued_state(wanted, successor) return (wanted == 1 and 'q1' or 'q0') .. successor end

local function is_queued_state(state) return state and string.sub(state, 1, 1) == STATE.QUEUED end

-- What such a state says, or nothing.
local QUEUED_STATE = '^' .. STATE.QUEUED .. '([01])(%d*)$'
local function read_queued_state(state)
  local wanted, successor = string.match(state or '', QUEUED_STATE)
  if wanted then return wanted == '1' and 1 or 0, successor end
  if is_queued_state(state) and #state > 1 then error('the state of a node is not of our making') end
end
