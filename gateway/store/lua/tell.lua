-- A line for the timeline of a customer who is there, once however often it is told.
-- KEYS: 1 customer 2 timeline 3 mark   ARGV: 1 lifetime of what the timeline says, ms 2 lifetime of the mark, ms 3 line
if redis.call('HEXISTS', KEYS[1], 's') == 0 then return {'gone'} end
if not redis.call('SET', KEYS[3], 1, 'NX', 'PX', ARGV[2]) then return {'seen'} end
write_lines(KEYS[2], ARGV[1], 3, 3)
return {'ok'}
