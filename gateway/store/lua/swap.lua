-- Put a new value into a field if it still holds the old one ('' for none).
-- KEYS: 1 hash   ARGV: 1 field 2 old value 3 new value
-- Returns: {1 or 0, what it holds otherwise}
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held ~= ARGV[2] then return {0, held} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return {1, ARGV[3]}
