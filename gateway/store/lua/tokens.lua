-- A token bucket shared by all workers. A quarter of what it holds is for critical messages alone.
-- KEYS: 1 bucket   ARGV: 1 rate per second 2 burst 3 wanted (negative: handed back) 4 critical ('1' or '')
-- Returns: {granted, ms until the next token}
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local facts = redis.call('HMGET', KEYS[1], 'n', 'at')
local held, at = tonumber(facts[1]) or burst, tonumber(facts[2]) or now
held = math.min(burst, held + math.max(0, now - at) * rate / 1000)
local floor = 0
if ARGV[4] ~= '1' and burst >= 4 then floor = burst / 4 end
local granted = math.max(0, math.min(wanted, math.floor(held - floor)))
if wanted < 0 then granted = wanted end
held = math.min(burst, held - granted)
redis.call('HSET', KEYS[1], 'n', tostring(held), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 60000)
local missing = floor + 1 - held
return {granted, missing > 0 and math.ceil(missing / rate * 1000) or 0}
