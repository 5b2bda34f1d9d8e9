-- Wake members of a line, so that each decides anew: its channel has just been shut.
-- KEYS: 1 line 2 agenda   ARGV: 1 first rank 2 last rank
local members = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])
local now = now_ms()
for _, member in ipairs(members) do redis.call('ZADD', KEYS[2], now, member) end
return {#members}
