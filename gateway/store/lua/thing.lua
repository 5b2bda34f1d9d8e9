-- A thing of a service is made, changed or removed, with everything that follows from it.
-- KEYS: 1 record 2 agenda of its lane 3 events 4 tally, then lists
-- ARGV: 1 member 2 expected version (0: there must be none) 3 state ('' to remove it) 4 wake ('' none) 5 lane
--       6 lifetime, ms ('' for ever) 7 bell 8 id in events 9 events 10 how many tallies, then name and step of each,
--       then for each list '+' or '-' and the member there
local version = redis.call('HGET', KEYS[1], 'v')
if (version or '0') ~= ARGV[2] then return {'conflict'} end
local from = 11 + 2 * tonumber(ARGV[10])
for i = 5, #KEYS do
  local op = ARGV[from + i - 5]
  if string.sub(op, 1, 1) == '+' then
    redis.call('ZADD', KEYS[i], 0, string.sub(op, 2))
  else
    redis.call('ZREM', KEYS[i], string.sub(op, 2))
  end
end
for i = 11, from - 1, 2 do redis.call('HINCRBY', KEYS[4], ARGV[i], ARGV[i + 1]) end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'ok', '0'}
end
-- Versions go on from the clock, so one that is made anew never has a version that was seen before.
local new = version and redis.call('HINCRBY', KEYS[1], 'v', 1) or now_ms()
redis.call('HSET', KEYS[1], 'v', string.format('%.0f', new), 's', ARGV[3], 'l', ARGV[5])
worked(KEYS[1])
if ARGV[4] == '' then
  redis.call('HSET', KEYS[1], 'd', 1)
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('HDEL', KEYS[1], 'd')
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
  if tonumber(ARGV[4]) <= now_ms() + 50 then redis.call('PUBLISH', 'gw:bell', ARGV[7]) end
end
if ARGV[6] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
tell(KEYS[3], ARGV[9], ARGV[8], new)
return {'ok', string.format('%.0f', new)}
