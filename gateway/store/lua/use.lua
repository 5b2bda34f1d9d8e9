-- A limit on how often something may happen in a rolling window, shared by all workers.
-- KEYS: 1 uses (zset by time)   ARGV: 1 limit 2 window ms 3 who uses it
-- Returns: {0} when it was counted, else {when there is room again, ms}
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used < limit then
  redis.call('ZADD', KEYS[1], now, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], window)
  return {0}
end
return {redis.call('ZRANGE', KEYS[1], used - limit, used - limit, 'WITHSCORES')[2] + window}
