-- Shared by the scripts below; put in front of each. A record is a hash: v version, s state, l lane, d done,
-- sup superseded by, can cancelled at, by who has taken it,
-- t how often it was taken and abandoned, f how often work on it failed, both since the last write.

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

-- A message takes its place in its thread. `place`: "join:<order>" before it is due, "<order>" when it falls due; then it
-- marks every older one that is not done, due or not, and wakes it. The member '*' stands at the order of the newest that
-- has fallen due. Returns the id that is newer than this one, if there is one.
local function claim(prefix, thread, id, place)
  local joins = string.match(place, '^join:(.+)$')
  local order = joins or place
  redis.call('ZADD', thread, order, id)
  redis.call('PEXPIRE', thread, 34560000000)
  if joins then return nil end
  local newest = redis.call('ZSCORE', thread, '*')
  if newest and tonumber(newest) > tonumber(order) then
    redis.call('ZREM', thread, id)
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', thread, newest, newest)) do
      if member ~= '*' then return member end
    end
    return nil
  end
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', thread, '-inf', order)) do
    if other ~= '*' and other ~= id then
      local record = prefix .. 'm:' .. other
      local facts = redis.call('HMGET', record, 'l', 'd')
      if facts[1] and not facts[2] then
        redis.call('HSETNX', record, 'sup', id)
        -- One that has lost its version must not keep newer ones out; no commit of its own can match it either.
        redis.pcall('HINCRBY', record, 'v', 1)
        redis.call('ZADD', prefix .. 'agenda:' .. facts[1], now_ms(), 'm:' .. other)
      end
      redis.call('ZREM', thread, other)
    end
  end
  redis.call('ZADD', thread, order, '*')
  return nil
end

-- Somebody has come to a result: whoever takes it next begins with a clean slate.
local function worked(record)
  redis.call('HDEL', record, 'by', 't', 'f')
end

local function tell(events, kinds, id, version)
  for kind in string.gmatch(kinds, '%S+') do
    redis.call('XADD', events, 'MAXLEN', '~', 20000, '*', 't', kind, 'id', id, 'v', version)
  end
end

local function bump(key, names)
  for name in string.gmatch(names, '%S+') do redis.pcall('HINCRBY', key, name, 1) end
  if names ~= '' then redis.call('EXPIRE', key, 691200) end
end

-- Where a message stands in its broadcast. ops: "+key" or "-key" for a list, "+key#field" or "-key#field" for a count; the
-- keys live for `lives` ms from now at least.
local function stand(ops, id, lives)
  for op, key, field in string.gmatch(ops, '([+-])([^%s#]+)#?(%S*)') do
    if field ~= '' then
      redis.pcall('HINCRBY', key, field, op == '+' and 1 or -1)
    elseif op == '+' then
      redis.call('ZADD', key, 0, id)
    else
      redis.call('ZREM', key, id)
    end
    local left = redis.call('PTTL', key)
    if left > -2 and left < tonumber(lives) then redis.call('PEXPIRE', key, lives) end
  end
end

-- Lines of a customer's timeline, ARGV[from..till]; they are kept for `lives` ms.
local function write_lines(timeline, lives, from, till)
  if till < from then return end
  local floor = now_ms() - tonumber(lives)
  for i = from, till do redis.call('XADD', timeline, 'MINID', floor, '*', 'e', ARGV[i]) end
  redis.call('PEXPIRE', timeline, lives)
end

local function file(ops, id)
  -- ops: "+key" or "-key" separated by blanks, keys of this partition
  for op, key in string.gmatch(ops, '([+-])(%S+)') do
    if op == '+' then redis.call('ZADD', key, 0, id) else redis.call('ZREM', key, id) end
  end
end
