-- Asks the budgets of one call, all of them or none.
-- KEYS: one a budget. ARGV: two a key, in nanoseconds: the time that earns one
-- call, and the time that earns the whole burst.
-- Answers 1 or 0, then for each key how far the budget has run ahead of now
-- (its debt), in nanoseconds: with this call if it was admitted, without if not.
--
-- A budget is the time at which its debt is earned back, as "seconds:nanoseconds"
-- on this server's clock, which counts in microseconds. Debts are at most 30 days,
-- so every number here is an integer below 2^53, which a double holds exactly.
local SECOND = 1000000000
local clock = redis.call('TIME')
local seconds, nanoseconds = tonumber(clock[1]), tonumber(clock[2]) * 1000

local function store(key, debt)
  local at = nanoseconds + debt
  local text = string.format('%d:%d', seconds + math.floor(at / SECOND), at % SECOND)
  redis.call('SET', key, text, 'PX', math.ceil(debt / 1000000))
end

local reply = {1}
for i, key in ipairs(KEYS) do
  local interval, full = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local debt = 0
  local stored = redis.call('GET', key)
  if stored then
    local s, ns = string.match(stored, '^(%d+):(%d+)$')
    debt = math.max(0, (s - seconds) * SECOND + (ns - nanoseconds))
    -- Left by a slower rate since replaced, or by a clock that was ahead: an
    -- empty budget, and stored as one so that it can begin to earn.
    if debt > full then
      debt = full
      store(key, debt)
    end
  end
  if debt + interval > full then reply[1] = 0 end
  reply[i + 1] = debt
end

if reply[1] == 1 then
  for i, key in ipairs(KEYS) do
    reply[i + 1] = reply[i + 1] + tonumber(ARGV[2 * i - 1])
    store(key, reply[i + 1])
  end
end
return reply
