"""What Redis does for nodes, each in one step that nothing can come between.

Redis's clock alone decides whether a lease is over, so that nodes need not agree on the time. A lease that is over
means nothing by itself: until somebody *reaps* the node, it renews the lease and goes on. To reap it is to remove
it from the nodes and to give its rooms to others, and whoever does both at once leaves no moment in which a room
has no home or two.

All scripts check the owner first: `nodes AGE`. With another age, or none, Redis has lost its data since.
"""

from __future__ import annotations

from roomfsm.store.redis_client import Script

_PRELUDE = """
-- KEYS: owner, nodes, home, rooms, tokens, incarnations, recovering.
local function lease(id) return '{roomfsm}:lease:' .. id end
local function due(id) return '{roomfsm}:due:' .. id end
local function is_registered(id) return redis.call('HEXISTS', KEYS[2], id) == 1 end
local function is_alive(id) return is_registered(id) and redis.call('EXISTS', lease(id)) == 1 end
local function known(age)
  local owner = redis.call('GET', KEYS[1])
  if owner == 'nodes ' .. age then return nil end
  if owner and string.sub(owner, 1, 6) ~= 'nodes ' then return {'taken', owner} end
  return {'forgotten'}
end
"""

REGISTER = Script(
    _PRELUDE
    + """
-- ARGV: an age, if Redis needs a new one; our name, and what others are to know of us; the lease in milliseconds;
-- our id, if we had one before Redis lost its data; and then the rooms that we have.
local age, name, info, ms, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local owner = redis.call('GET', KEYS[1])
if owner and string.sub(owner, 1, 6) == 'nodes ' then
  age = string.sub(owner, 7)
else
  redis.call('SET', KEYS[1], 'nodes ' .. age)
end
for _, other in ipairs(redis.call('HKEYS', KEYS[2])) do
  if other ~= id and string.match(other, '^(.*)/%d+$') == name then
    return {'named', age, other, redis.call('GET', lease(other)), redis.call('PTTL', lease(other)),
      redis.call('HGET', KEYS[2], other)}
  end
end
local last = tonumber(redis.call('GET', KEYS[6]) or '0')
if id == '' then
  -- A Redis that has lost its data counts on from the time, so that no id is ever used again.
  local now = redis.call('TIME')
  last = math.max(last + 1, now[1] * 1000 + math.floor(now[2] / 1000))
  id = name .. '/' .. string.format('%d', last)
  for _, room in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    local home = redis.call('HGET', KEYS[3], room)
    if not home or not is_registered(home) then
      -- The last node has ended, or a server without others has left the room here.
      redis.call('HSET', KEYS[3], room, id)
      redis.call('SADD', due(id), room)
    end
  end
else
  last = math.max(last, tonumber(string.match(id, '/(%d+)$')))
  -- Others have lost the homes of their rooms as well, and may need until then to say which they have.
  redis.call('SET', KEYS[7], '1', 'PX', ms)
  for at = 6, #ARGV do redis.call('HSETNX', KEYS[3], ARGV[at], id) end
end
redis.call('SET', KEYS[6], string.format('%d', last))
redis.call('HSET', KEYS[2], id, info)
redis.call('SET', lease(id), '0', 'PX', ms)
return {'ok', id, age}
"""
)

BEAT = Script(
    _PRELUDE
    + """
-- ARGV: age, our id, what others are to know of us, the lease in milliseconds, the number of the beat, and then
-- the rooms that we have learned to be due.
local id = ARGV[2]
local unknown = known(ARGV[1])
if unknown then return unknown end
if not is_registered(id) then return {'reaped'} end
redis.call('SET', lease(id), ARGV[5], 'PX', ARGV[4])
redis.call('HSET', KEYS[2], id, ARGV[3])
for at = 6, #ARGV do redis.call('SREM', due(id), ARGV[at]) end
local rooms, nodes = {}, {}
for _, room in ipairs(redis.call('SMEMBERS', due(id))) do
  -- A room may have ended since, and have begun elsewhere.
  if redis.call('HGET', KEYS[3], room) == id then
    rooms[#rooms + 1] = room
  else
    redis.call('SREM', due(id), room)
  end
end
local all = redis.call('HGETALL', KEYS[2])
for at = 1, #all, 2 do nodes[#nodes + 1] = {all[at], all[at + 1], redis.call('PTTL', lease(all[at]))} end
return {'ok', rooms, nodes}
"""
)

REAP = Script(
    _PRELUDE
    + """
-- ARGV: age, the id of the node that is removed, and '1' if its lease does not matter.
local id = ARGV[2]
local unknown = known(ARGV[1])
if unknown then return unknown end
if not is_registered(id) then return {'ok'} end
if ARGV[3] ~= '1' and redis.call('EXISTS', lease(id)) == 1 then return {'alive'} end
local function load_of(info)
  local told = cmsgpack.unpack(info)
  return told.people + told.rooms, told.draining
end
local left = load_of(redis.call('HGET', KEYS[2], id))
local still_due = redis.call('SMEMBERS', due(id))
redis.call('HDEL', KEYS[2], id)
redis.call('DEL', lease(id), due(id), '{roomfsm}:in:' .. id)
local loads, draining = {}, {}
for _, other in ipairs(redis.call('HKEYS', KEYS[2])) do
  if is_alive(other) then
    local load, drains = load_of(redis.call('HGET', KEYS[2], other))
    if drains then draining[other] = load else loads[other] = load end
  end
end
if not next(loads) then loads = draining end
local rooms = {}
local homes = redis.call('HGETALL', KEYS[3])
for at = 1, #homes, 2 do
  if homes[at + 1] == id then rooms[#rooms + 1] = homes[at] end
end
for _, room in ipairs(rooms) do
  local to
  for other, load in pairs(loads) do
    if not to or load < loads[to] or (load == loads[to] and other < to) then to = other end
  end
  if to then
    loads[to] = loads[to] + 1 + left / #rooms
    redis.call('HSET', KEYS[3], room, to)
    redis.call('SADD', due(to), room)
  else
    -- Whoever comes first takes it.
    redis.call('HDEL', KEYS[3], room)
  end
end
return {'ok'}
"""
)

LOOK = Script(
    _PRELUDE
    + """
-- Changes nothing. Answers with the owner, and with each node, what it lets others know, and what is left of its
-- lease.
local nodes = {}
local all = redis.call('HGETALL', KEYS[2])
for at = 1, #all, 2 do nodes[#nodes + 1] = {all[at], all[at + 1], redis.call('PTTL', lease(all[at]))} end
return {redis.call('GET', KEYS[1]) or '', nodes}
"""
)

HOME_OF = Script(
    _PRELUDE
    + """
-- ARGV: age, the room, and the id of the node that becomes its home if it has none.
local room, candidate = ARGV[2], ARGV[3]
local unknown = known(ARGV[1])
if unknown then return unknown end
local home = redis.call('HGET', KEYS[3], room)
if home and is_registered(home) then
  if is_alive(home) then return {'home', home} else return {'dead', home} end
end
local wait = redis.call('PTTL', KEYS[7])
if wait > 0 then return {'wait', wait} end
if not is_alive(candidate) then return {'dead', candidate} end
redis.call('HSET', KEYS[3], room, candidate)
if redis.call('SISMEMBER', KEYS[4], room) == 1 then redis.call('SADD', due(candidate), room) end
return {'home', candidate}
"""
)

HOME_OF_TOKEN = Script(
    _PRELUDE
    + """
-- ARGV: age, and the hash of a token. Answers with the room, and with its home if that is alive.
local unknown = known(ARGV[1])
if unknown then return unknown end
local room = redis.call('HGET', KEYS[5], ARGV[2])
if not room then return {'nobody'} end
local home = redis.call('HGET', KEYS[3], room)
if home and is_alive(home) then return {'home', room, home} else return {'none', room} end
"""
)

HAND_OVER = Script(
    _PRELUDE
    + """
-- ARGV: age, our id, the room, and the id of the node that gets it. If that is empty, nobody does, which is
-- possible if nothing of the room is stored.
local id, room, to = ARGV[2], ARGV[3], ARGV[4]
local unknown = known(ARGV[1])
if unknown then return unknown end
if redis.call('HGET', KEYS[3], room) ~= id or not is_registered(id) then return {'no'} end
if to == '' then
  if redis.call('SISMEMBER', KEYS[4], room) == 1 then return {'no'} end
  redis.call('HDEL', KEYS[3], room)
  return {'ok'}
end
if not is_alive(to) then return {'no'} end
redis.call('HSET', KEYS[3], room, to)
redis.call('SADD', due(to), room)
return {'ok'}
"""
)
