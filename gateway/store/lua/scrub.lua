-- A finished message loses whatever says whose it was and what it said; what can't be read at all goes altogether.
-- KEYS: 1 record 2 body 3 thread 4 counts of the erasure 5 morgue 6-8 agenda of every lane, then lines and indexes by what a
--       caller chose
-- ARGV: 1 id 2 expected version ('' whatever it is: the record goes) 3 state
local member = 'm:' .. ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
  else
    if redis.call('HGET', KEYS[1], 'v') ~= ARGV[2] then return {'conflict'} end
    redis.call('HSET', KEYS[1], 's', ARGV[3])
    redis.call('HINCRBY', KEYS[1], 'v', 1)
    redis.call('HDEL', KEYS[1], 'why')
    worked(KEYS[1])
  end
  redis.call('HINCRBY', KEYS[4], 'messages', 1)
end
if redis.call('DEL', KEYS[2]) == 1 then redis.call('HINCRBY', KEYS[4], 'contents', 1) end
redis.call('ZREM', KEYS[3], ARGV[1])
-- The last one of a thread leaves only the mark of its order.
if redis.call('ZCARD', KEYS[3]) == 1 and redis.call('ZSCORE', KEYS[3], '*') then redis.call('DEL', KEYS[3]) end
for i = 5, #KEYS do redis.call('ZREM', KEYS[i], member, ARGV[1]) end
return {'ok'}
