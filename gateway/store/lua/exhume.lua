-- Take a record out of the morgue: back to work, or away for good with all that is its own.
-- KEYS: 1 record 2 agenda of its lane 3 morgue 4 content
-- ARGV: 1 member 2 'retry' or 'discard' 3 id 4 places in its broadcast when discarded 5 lifetime of these, ms
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 or redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
if ARGV[2] == 'discard' then
  redis.call('DEL', KEYS[1], KEYS[4])
  stand(ARGV[4], ARGV[3], ARGV[5])
  return {'ok'}
end
redis.call('HDEL', KEYS[1], 'why')
worked(KEYS[1])
redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
return {'ok'}
