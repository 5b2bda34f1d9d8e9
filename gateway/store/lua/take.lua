-- Hand out what may be worked on now: due agenda members, then heads of lines, as many of each key as ARGV allows.
-- A taken member leaves its line and gets a deciding lease on its agenda; no version changes.
-- KEYS: agenda of every lane (critical, normal, bulk), then for each channel its lines in the same order
-- ARGV: 1 prefix 2 deciding lease ms, 3-5 how many of each agenda, then for each channel: permits, how many of them for
--       what isn't critical, how many of those for bulk
-- Returns: {now, next due, item...}; an item is {key index, member, v, s, sup, can, t}
local prefix, lease = ARGV[1], tonumber(ARGV[2])
local now = now_ms()
local out, soonest = {}, nil

local function hand(i, member, agenda)
  local record = prefix .. member
  local facts = redis.call('HMGET', record, 'v', 's', 'sup', 'can', 'd', 'why')
  -- Gone or in the morgue: a line or a late wake may still have held it.
  if not facts[2] or facts[6] then
    redis.call('ZREM', agenda, member)
    return
  end
  -- Done: nothing may begin any more, but what has begun is still looked at when its lease is over.
  if facts[5] and i > 3 then return end
  redis.call('ZADD', agenda, now + lease, member)
  local takes = redis.call('HINCRBY', record, 't', 1)
  out[#out + 1] = {i, member, facts[1], facts[2], facts[3] or '', facts[4] or '', takes}
end

local function wake(i)
  local limit = tonumber(ARGV[2 + i])
  if limit > 0 then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, limit)) do
      hand(i, member, KEYS[i])
    end
  end
end

local function serve(i, want)
  if want <= 0 then return 0 end
  local members = redis.call('ZRANGE', KEYS[i], 0, want - 1)
  for _, member in ipairs(members) do
    redis.call('ZREM', KEYS[i], member)
    hand(i, member, KEYS[(i - 4) % 3 + 1])
  end
  return #members
end

-- Critical wakes, critical lines, then the rest.
local left = {}
wake(1)
for i = 4, #KEYS, 3 do
  local total, rest = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  left[i] = math.min(total - serve(i, total), rest)
end
wake(2)
wake(3)
-- Of a channel's permits critical messages get what they want; of the rest, `reserve` is kept for bulk, so that bulk
-- is never starved, and what bulk leaves of it goes to normal ones too.
for i = 4, #KEYS, 3 do
  local rest, reserve = left[i], tonumber(ARGV[i + 4])
  rest = rest - serve(i + 1, rest - reserve)
  rest = rest - serve(i + 2, rest)
  serve(i + 1, rest)
end
for i = 1, 3 do
  local head = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if head[2] and (not soonest or tonumber(head[2]) < soonest) then soonest = tonumber(head[2]) end
end
return {now, soonest or -1, out}
