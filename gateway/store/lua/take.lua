-- Hand out what may be worked on now: due agenda members, then heads of lines, as many of each key as ARGV allows.
-- A taken member leaves its line and gets a lease on its agenda; no version changes.
-- KEYS: agenda of every lane (critical, normal, bulk), then for each channel its lines in the same order
-- ARGV: 1 prefix 2 lease ms 3 who takes 4 their wall clock, ms ('' any) 5-7 how many of each agenda, then for each channel:
--       permits, how many of them for what isn't critical, how many of those for bulk
-- Returns: {now, next due, {item...}, how many entries had no record}; an item is {key index, member, v, s, sup, can, t}
local prefix, lease, taker = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local out, soonest, gone = {}, nil, 0
-- One of two clocks that differ is wrong, and a lease measured by it means nothing.
if ARGV[4] ~= '' and math.abs(now - tonumber(ARGV[4])) > 5000 then return {now, -1, {}, 0} end

local function hand(i, member, agenda)
  local record = prefix .. member
  local facts = redis.pcall('HMGET', record, 'v', 's', 'sup', 'can', 'd', 'why', 'by', 't')
  -- Gone, no record at all, or in the morgue: a line or a late wake may still have held it.
  if facts.err or not facts[2] or facts[6] then
    redis.call('ZREM', agenda, member)
    if facts.err or not facts[2] then gone = gone + 1 end
    return
  end
  -- Done: nothing may begin any more, but what has begun is still looked at when its lease is over.
  if facts[5] and i > 3 then return end
  redis.call('ZADD', agenda, now + lease, member)
  -- Somebody else took it and neither wrote anything nor handed it back: they died of it, or beside it.
  local abandoned = tonumber(facts[8]) or 0
  if facts[7] ~= taker then
    if facts[7] then
      abandoned = abandoned + 1
      redis.call('HSET', record, 'by', taker, 't', abandoned)
    else
      redis.call('HSET', record, 'by', taker)
    end
  end
  out[#out + 1] = {i, member, facts[1], facts[2], facts[3] or '', facts[4] or '', abandoned}
end

local function wake(i)
  local limit = tonumber(ARGV[4 + i])
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
  local total, rest = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  left[i] = math.min(total - serve(i, total), rest)
end
wake(2)
wake(3)
-- Of a channel's permits critical messages get what they want; of the rest, `reserve` is kept for bulk, so that bulk
-- is never starved, and what bulk leaves of it goes to normal ones too.
for i = 4, #KEYS, 3 do
  local rest, reserve = left[i], tonumber(ARGV[i + 6])
  rest = rest - serve(i + 1, rest - reserve)
  rest = rest - serve(i + 2, rest)
  serve(i + 1, rest)
end
for i = 1, 3 do
  local head = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if head[2] and (not soonest or tonumber(head[2]) < soonest) then soonest = tonumber(head[2]) end
end
return {now, soonest or -1, out, gone}
