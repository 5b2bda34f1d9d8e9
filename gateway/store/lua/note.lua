-- Something came in. Kept once, however often it is delivered; the worker works it off.
-- KEYS: 1 seen 2 item 3 agenda   ARGV: 1 item id 2 state 3 lifetime ms 4 bell
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[3]) then
  -- A real write, as in accept.
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'seen'}
end
redis.call('HSET', KEYS[2], 'v', 1, 's', ARGV[2])
redis.call('ZADD', KEYS[3], now_ms(), 'i:' .. ARGV[1])
redis.call('PUBLISH', 'gw:bell', ARGV[4])
return {'ok'}
