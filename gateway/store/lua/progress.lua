-- An erasure has got on: its new state, and when it is looked at next ('': it has ended, and stays for its lifetime).
-- KEYS: 1 erasure 2 agenda 3 record of the customer, then what goes in the end
-- ARGV: 1 id 2 expected version 3 state 4 wake 5 lifetime when ended, ms
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[2] then return {'conflict'} end
redis.call('HSET', KEYS[1], 's', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'v', 1)
worked(KEYS[1])
if ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[4], 'e:' .. ARGV[1])
  return {'ok'}
end
redis.call('HSET', KEYS[1], 'd', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZREM', KEYS[2], 'e:' .. ARGV[1])
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
-- Somebody may have been given that id again.
if redis.call('HEXISTS', KEYS[3], 's') == 0 then redis.call('DEL', KEYS[3]) end
return {'ok'}
