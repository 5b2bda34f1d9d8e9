-- A message enters. Accepting an id that exists changes nothing.
-- KEYS: 1 record 2 body 3 agenda 4 events 5 counters 6 thread 7 customer 8 timeline, then lines
-- ARGV: 1 prefix 2 id 3 state 4 body 5 lane 6 wake 7 bell 8 event 9 counters 10 index ops 11 order in the thread ('' none)
--       12 done ('1' or '') 13 lifetime of the record when done, ms 14 lifetime of the body, ms
--       15 only if there is such a customer ('1' or '') 16 places in its broadcast 17 lifetime of these, ms
--       18 lifetime of what the timeline says, ms, then scores, then lines of the timeline
if redis.call('EXISTS', KEYS[1]) == 1 then
  -- A real write that changes nothing: with replicas only a write makes WAIT mean something.
  redis.call('HSET', KEYS[1], 'l', redis.call('HGET', KEYS[1], 'l') or ARGV[5])
  return {'exists'}
end
-- Who was erased since the message was drafted gets no new one.
if ARGV[15] == '1' and redis.call('HEXISTS', KEYS[7], 's') == 0 then return {'customer'} end
redis.call('HSET', KEYS[1], 'v', 1, 's', ARGV[3], 'l', ARGV[5])
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[14]) end
if ARGV[12] == '1' then
  redis.call('HSET', KEYS[1], 'd', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[13])
end
local wake = ARGV[6]
if ARGV[11] ~= '' then
  local newer = claim(ARGV[1], KEYS[6], ARGV[2], ARGV[11])
  if newer then
    redis.call('HSET', KEYS[1], 'sup', newer)
    wake = tostring(now_ms())
  end
end
index('m:' .. ARGV[2], KEYS[3], wake, 9, 19, ARGV[7])
file(ARGV[10], ARGV[2])
stand(ARGV[16], ARGV[2], ARGV[17])
write_lines(KEYS[8], ARGV[18], #KEYS + 11, #ARGV)
tell(KEYS[4], ARGV[8], ARGV[2], 1)
bump(KEYS[5], ARGV[9])
return {'ok'}
