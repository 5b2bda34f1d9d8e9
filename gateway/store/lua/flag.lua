-- Cancel a message: mark the record and wake it; the worker ends it.
-- KEYS: 1 record   ARGV: 1 prefix 2 id 3 now
local facts = redis.call('HMGET', KEYS[1], 'l', 'd')
if not facts[1] then return {'gone'} end
if facts[2] then return {'done'} end
redis.call('HSETNX', KEYS[1], 'can', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('ZADD', ARGV[1] .. 'agenda:' .. facts[1], now_ms(), 'm:' .. ARGV[2])
return {'ok'}
