-- Delete a customer's record if its version is the expected one, with what hangs on it.
-- KEYS: 1 record 2 ledger 3 timeline 4 index of customers   ARGV: 1 expected version 2 id
if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then return {'conflict'} end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[2])
return {'ok'}
