-- Reads schedules: of each its state and its definition as they belong together.
-- KEYS[1] prefix    ARGV names
-- Returns {state, definition, why they cannot be read or ''} of each, or an empty list where there is none; of the first names
-- only when those are heavy, but of one at least.
-- flags: no-writes,allow-oom
-- use: cargo
-- use: schedules
local prefix, found, cargo = KEYS[1], {}, a_cargo()
for i, name in ipairs(ARGV) do
  if cargo.left <= 0 then break end
  local state, definition = redis.call('HGET', prefix .. 'schedules:state', name), redis.call('HGET', prefix .. 'schedules', name)
  cargo.left = cargo.left - #(definition or '')
  found[i] = state and { state, definition or '', trouble_of(state, read_schedule(state), definition) } or {}
end
return found
