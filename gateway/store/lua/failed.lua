-- Work on a record has failed, and whoever did it lived on: count it. Nothing is made of a record that is gone.
-- KEYS: 1 record 2-4 agenda of every lane: what can't be read doesn't say which is its own
-- ARGV: 1 member 2 how long until it is tried again, ms
if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end
redis.call('HDEL', KEYS[1], 'by')
local failures = redis.pcall('HINCRBY', KEYS[1], 'f', 1)
if type(failures) ~= 'number' then
  redis.call('HSET', KEYS[1], 'f', 1)
  failures = 1
end
for i = 2, 4 do redis.call('ZADD', KEYS[i], 'XX', now_ms() + tonumber(ARGV[2]), ARGV[1]) end
return {failures}
