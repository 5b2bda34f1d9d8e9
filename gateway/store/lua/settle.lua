-- An inbound item has been worked off.
-- KEYS: 1 item 2 agenda   ARGV: 1 member 2 state 3 lifetime ms
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 's', ARGV[2], 'd', 1)
  worked(KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {'ok'}
