-- A record nobody can work off goes to the morgue, with the reason; nothing else wakes it.
-- KEYS: 1 record 2 agenda 3 morgue   ARGV: 1 member 2 reason
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
redis.call('HSET', KEYS[1], 'why', ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], now_ms(), ARGV[1])
return {'ok'}
