-- An attempt begins: recorded before the provider is called, and only if neither the message nor the customer has
-- changed since the decision. Counts the frequency cap.
-- KEYS: 1 record 2 customer 3 agenda 4 events 5 counters 6 cap 7 awaiting, then lines
-- ARGV: 1 id 2 version 3 customer's version 4 state 5 wake 6 cap limit ('' none) 7 cap window ms 8 prompt open until ('' none)
--       9 channel 10 counters, then scores
local facts = redis.call('HMGET', KEYS[1], 'v', 'd')
if not facts[1] then return {'gone'} end
if facts[1] ~= ARGV[2] or facts[2] then return {'conflict'} end
if (redis.call('HGET', KEYS[2], 'v') or '0') ~= ARGV[3] then return {'customer'} end
local now = now_ms()
if ARGV[6] ~= '' and not redis.call('ZSCORE', KEYS[6], ARGV[1]) then
  redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - tonumber(ARGV[7]))
  if redis.call('ZCARD', KEYS[6]) >= tonumber(ARGV[6]) then return {'cap'} end
  redis.call('ZADD', KEYS[6], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[6], ARGV[7])
end
local version = redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], 's', ARGV[4])
worked(KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'w:' .. ARGV[9], now) end
if ARGV[8] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - 5184000000)
  redis.call('ZADD', KEYS[7], now, ARGV[1])
  -- A question may have closed before it was put: held for the night, say.
  local left = math.max(tonumber(ARGV[8]) - now, 60000)
  if left > redis.call('PTTL', KEYS[7]) then redis.call('PEXPIRE', KEYS[7], left) end
end
index('m:' .. ARGV[1], KEYS[3], ARGV[5], 8, 11, '')
bump(KEYS[5], ARGV[10])
return {'ok', version}
