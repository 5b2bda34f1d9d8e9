-- Wake members of a line, so that each decides anew: its channel has just been shut.
-- KEYS: 1 line 2 agenda   ARGV: 1 bell 2 only who would look later than this, then members
local now, woken = now_ms(), 0
for i = 3, #ARGV do
  local wake = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) and (not wake or tonumber(wake) > tonumber(ARGV[2])) then
    redis.call('ZADD', KEYS[2], now, ARGV[i])
    woken = woken + 1
  end
end
if woken > 0 then redis.call('PUBLISH', 'gw:bell', ARGV[1]) end
return {woken}
