-- An attempt begins: recorded before the provider is called, and only if neither the message nor the customer has
-- changed since the decision. Counts against the frequency caps: against all of them or none.
-- KEYS: 1 record 2 customer 3 agenda 4 events 5 counters 6 awaiting, then caps, then lines
-- ARGV: 1 id 2 version 3 customer's version 4 state 5 wake 6 prompt open until ('' none) 7 channel 8 counters
--       9 how many caps, then limit and window (ms) of each, then scores
local facts = redis.call('HMGET', KEYS[1], 'v', 'd')
if not facts[1] then return {'gone'} end
if facts[1] ~= ARGV[2] or facts[2] then return {'conflict'} end
if (redis.call('HGET', KEYS[2], 'v') or '0') ~= ARGV[3] then return {'customer'} end
local now = now_ms()
local caps, fresh = tonumber(ARGV[9]), {}
for i = 1, caps do
  local key, limit, window = KEYS[6 + i], tonumber(ARGV[8 + 2 * i]), ARGV[9 + 2 * i]
  if not redis.call('ZSCORE', key, ARGV[1]) then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - tonumber(window))
    if redis.call('ZCARD', key) >= limit then return {'cap'} end
    fresh[key] = window
  end
end
for key, window in pairs(fresh) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('PEXPIRE', key, window)
end
local version = redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], 's', ARGV[4])
worked(KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'w:' .. ARGV[7], now) end
if ARGV[6] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - 5184000000)
  redis.call('ZADD', KEYS[6], now, ARGV[1])
  -- A question may have closed before it was put: held for the night, say.
  local left = math.max(tonumber(ARGV[6]) - now, 60000)
  if left > redis.call('PTTL', KEYS[6]) then redis.call('PEXPIRE', KEYS[6], left) end
end
index('m:' .. ARGV[1], KEYS[3], ARGV[5], 7 + caps, 10 + 2 * caps, '')
bump(KEYS[5], ARGV[8])
return {'ok', version}
