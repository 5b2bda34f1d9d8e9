-- A person leaves: their record goes if its version is the expected one, and with it all that is found by their id.
-- What still names their messages is handed to the erasure, which is made in the same moment.
-- KEYS: 1 record 2 index of customers 3 erasure 4 agenda 5 where the erasure is found, then lists handed over, each with its
--       new name, then keys that go
-- ARGV: 1 expected version 2 customer 3 erasure id 4 state 5 lifetime of the finding, ms 6 lists handed over 7 bell
local facts = redis.call('HMGET', KEYS[1], 'v', 's')
if not facts[2] or facts[1] ~= ARGV[1] then return {'conflict'} end
redis.call('DEL', KEYS[1])
-- The version stays for a while and goes on: what was decided on the old record can't begin on a new one.
redis.call('HSET', KEYS[1], 'v', facts[1] + 1)
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('ZREM', KEYS[2], ARGV[2])
local last = 5 + 2 * tonumber(ARGV[6])
for i = 6, last, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
for i = last + 1, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('HSET', KEYS[3], 'v', 1, 's', ARGV[4], 'l', 'normal')
redis.call('SET', KEYS[5], ARGV[3], 'PX', ARGV[5])
redis.call('ZADD', KEYS[4], now_ms(), 'e:' .. ARGV[3])
redis.call('PUBLISH', 'gw:bell', ARGV[7])
return {'ok'}
