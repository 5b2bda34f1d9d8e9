-- Shared by the scripts below; put in front of each. A record is a hash: v version, s state, l lane, d done,
-- sup superseded by, can cancelled at, t takes since the last write.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The index is derived from the record: write where the member stands in lines and agenda. `wake` '' means nowhere any
-- more. KEYS[from..] are line keys, ARGV[scores..] their scores, '' to leave a line.
local function index(member, agenda, wake, from, scores, bell)
  local ring = false
  for i = from, #KEYS do
    local score = ARGV[scores + i - from]
    if score == '' then
      redis.call('ZREM', KEYS[i], member)
    else
      redis.call('ZADD', KEYS[i], score, member)
      ring = true
    end
  end
  if wake == '' then
    redis.call('ZREM', agenda, member)
  else
    redis.call('ZADD', agenda, wake, member)
    ring = ring or tonumber(wake) <= now_ms() + 50
  end
  if ring and bell ~= '' then redis.call('PUBLISH', 'gw:bell', bell) end
end

-- The newest of a thread marks every older one that is not done, and wakes it. Returns the id that is newer than
-- this one, if there is one. Of two with the same order the one that comes later is the newer.
local function claim(prefix, thread, id, order)
  local newest = redis.call('ZREVRANGE', thread, 0, 0, 'WITHSCORES')
  if newest[1] and tonumber(newest[2]) > tonumber(order) then return newest[1] end
  redis.call('ZREM', thread, id)
  local older = redis.call('ZRANGEBYSCORE', thread, '-inf', order)
  redis.call('ZADD', thread, order, id)
  redis.call('PEXPIRE', thread, 7776000000)
  for _, other in ipairs(older) do
    local record = prefix .. 'm:' .. other
    local facts = redis.call('HMGET', record, 'l', 'd')
    if facts[1] and not facts[2] then
      redis.call('HSETNX', record, 'sup', id)
      redis.call('HINCRBY', record, 'v', 1)
      redis.call('ZADD', prefix .. 'agenda:' .. facts[1], now_ms(), 'm:' .. other)
    end
    redis.call('ZREM', thread, other)
  end
  return nil
end

local function tell(events, kinds, id, version)
  for kind in string.gmatch(kinds, '%S+') do
    redis.call('XADD', events, 'MAXLEN', '~', 20000, '*', 't', kind, 'id', id, 'v', version)
  end
end

local function bump(key, names)
  for name in string.gmatch(names, '%S+') do redis.call('HINCRBY', key, name, 1) end
  if names ~= '' then redis.call('EXPIRE', key, 691200) end
end

local function file(ops, id)
  -- ops: "+key" or "-key" separated by blanks, keys of this partition
  for op, key in string.gmatch(ops, '([+-])(%S+)') do
    if op == '+' then redis.call('ZADD', key, 0, id) else redis.call('ZREM', key, id) end
  end
end
