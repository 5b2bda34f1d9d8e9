-- Write a customer's record if its version is the expected one; ledger lines go along.
-- KEYS: 1 record 2 ledger 3 index of customers 4 timeline
-- ARGV: 1 expected version ('' any, '0' must not exist) 2 state 3 id 4 how many ledger lines 5 lifetime of what the timeline
--       says, ms, then ledger lines, then lines of the timeline
local version = redis.call('HGET', KEYS[1], 'v') or '0'
if ARGV[1] ~= '' and ARGV[1] ~= version then return {'conflict', version} end
redis.call('HSET', KEYS[1], 'v', version + 1, 's', ARGV[2])
-- What is left of one who was erased has an end.
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[3], 0, ARGV[3])
for i = 6, 5 + ARGV[4] do redis.call('XADD', KEYS[2], '*', 'e', ARGV[i]) end
write_lines(KEYS[4], ARGV[5], 6 + ARGV[4], #ARGV)
return {'ok', tostring(version + 1)}
