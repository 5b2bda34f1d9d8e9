-- Seats that all workers share: who sits there, until when. A seat is given back, or lapses.
-- KEYS: 1 seats   ARGV: 1 how many there are 2 how many of them critical messages alone may take 3 how many of the wanted
--       ones are for others 4 lease ms 5 longest lease ms 6 how many come back, then who comes back, then who wants one
-- Returns: {granted, how many of these to others than critical}; the first `granted` names have their seats
local limit, kept, others = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lease, longest, back = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now = now_ms()
for i = 7, 6 + back do redis.call('ZREM', KEYS[1], ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- Nobody was given that long: the clock has been set back since.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + longest + 1, '+inf')
local free = limit - redis.call('ZCARD', KEYS[1])
local granted = math.max(0, math.min(#ARGV - 6 - back, free))
for i = 7 + back, 6 + back + granted do redis.call('ZADD', KEYS[1], now + lease, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], longest + 60000)
return {granted, math.max(0, math.min(others, granted, free - kept))}
