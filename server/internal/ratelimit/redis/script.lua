-- Decides about one call: it spends all its budgets or none, by the generic cell rate algorithm
-- (GCRA).
-- KEYS: one a budget. ARGV: two a key, in nanoseconds: the emission interval, which earns one call,
-- and the time that earns the whole burst.
-- Answers 1 or 0, then for each key how far the budget's theoretical arrival time (TAT) lies ahead
-- of now, in nanoseconds: with this call if it was admitted, without it if not.
--
-- A key holds the TAT as "seconds:nanoseconds" on this server's clock, which counts in
-- microseconds. A TAT is at most 30 days ahead, so every number here is an integer below 2^53,
-- which a double holds exactly.
local SECOND = 1000000000
local clock = redis.call('TIME')
local seconds, nanoseconds = tonumber(clock[1]), tonumber(clock[2]) * 1000

local function store(key, ahead)
  local at = nanoseconds + ahead
  local tat = string.format('%d:%d', seconds + math.floor(at / SECOND), at % SECOND)
  redis.call('SET', key, tat, 'PX', math.ceil(ahead / 1000000))
end

local reply = {1}
for i, key in ipairs(KEYS) do
  local interval, refill = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local ahead = 0
  local tat = redis.call('GET', key)
  if tat then
    local s, ns = string.match(tat, '^(%d+):(%d+)$')
    ahead = math.max(0, (s - seconds) * SECOND + (ns - nanoseconds))
    -- A slower rate since replaced, or a clock that was ahead, can leave a TAT later than that of
    -- an empty budget. It must be set back and stored, or the budget could not start to earn.
    if ahead > refill then
      ahead = refill
      store(key, ahead)
    end
  end
  if ahead + interval > refill then reply[1] = 0 end
  reply[i + 1] = ahead
end

if reply[1] == 1 then
  for i, key in ipairs(KEYS) do
    reply[i + 1] = reply[i + 1] + tonumber(ARGV[2 * i - 1])
    store(key, reply[i + 1])
  end
end
return reply
