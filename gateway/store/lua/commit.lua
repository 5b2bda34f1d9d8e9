-- Compare the version, swap the state, and apply everything that follows from it.
-- KEYS: 1 record 2 body 3 agenda 4 events 5 counters 6 thread 7 timeline, then lines
-- ARGV: 1 prefix 2 id 3 version 4 state 5 wake 6 bell 7 event 8 counters 9 index ops 10 order in the thread ('' none)
--       11 done 12 lifetime of the record when done, ms 13 lifetime of the body when done, ms
--       14 places in its broadcast 15 lifetime of these, ms, then scores, then lines of the timeline
local facts = redis.call('HMGET', KEYS[1], 'v', 's')
if not facts[1] then
  redis.call('ZREM', KEYS[3], 'm:' .. ARGV[2])
  return {'gone'}
end
if facts[1] ~= ARGV[3] then return {'conflict'} end
local version = redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], 's', ARGV[4])
worked(KEYS[1])
local wake = ARGV[5]
if ARGV[10] ~= '' then
  local newer = claim(ARGV[1], KEYS[6], ARGV[2], ARGV[10])
  if newer then
    redis.call('HSET', KEYS[1], 'sup', newer)
    wake = tostring(now_ms())
  end
end
index('m:' .. ARGV[2], KEYS[3], wake, 8, 16, ARGV[6])
if ARGV[11] == '1' and redis.call('HSETNX', KEYS[1], 'd', 1) == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[12])
  local left = redis.call('PTTL', KEYS[2])
  if left == -1 or left > tonumber(ARGV[13]) then redis.call('PEXPIRE', KEYS[2], ARGV[13]) end
end
file(ARGV[9], ARGV[2])
stand(ARGV[14], ARGV[2], ARGV[15])
-- An erased customer's timeline isn't begun anew by what comes late.
for i = #KEYS + 9, #ARGV do redis.call('XADD', KEYS[7], 'NOMKSTREAM', '*', 'e', ARGV[i]) end
tell(KEYS[4], ARGV[7], ARGV[2], version)
bump(KEYS[5], ARGV[8])
return {'ok', version}
