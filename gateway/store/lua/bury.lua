-- A record nobody can work off goes to the morgue, with the reason; nothing else wakes it.
-- KEYS: 1 record 2 morgue 3-5 agenda of every lane: what can't be read doesn't say which is its own   ARGV: 1 member 2 reason
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
redis.call('HSET', KEYS[1], 'why', ARGV[2])
for i = 3, 5 do redis.call('ZREM', KEYS[i], ARGV[1]) end
redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
return {'ok'}
