"""The transitions on a Valkey or Redis server, in Lua: each runs there as one step.

All of a key is one hash, so that a script has one key and a cluster needs no hash tag:

    e  the epoch of the last lease that was won
    t  the token that holds the lease, if any; its time may be over with nobody having won it since
    u  when the lease ends, and d for how long it was taken
    w  whether somebody waits: has been told `Busy` since an outcome was stored, or has asked again
    l  the epoch of the outcome, if there is one
    k  what the outcome is: OutcomeKind
    b  its body
    a  when it was stored
    x  until when it may be used

Times are microseconds by the server's clock, which a script sees standing still. They fit into the
53 bits that a number of Lua has until the year 2255. The whole hash expires when nothing in it can
matter any more; until then no clock but the server's was asked.

An epoch is the server's time, or one more than the last, whichever is greater: so it goes on when
the hash has expired, and when the server has lost its data.
"""

from __future__ import annotations

__all__ = (
    "ACQUIRE",
    "COMMIT",
    "INVALIDATE",
    "INVALIDATE_ALL",
    "MAY",
    "READ",
    "RELEASE",
    "RENEW",
    "REPLACE",
    "TAG",
    "TAGGED",
)

_NOW = """
local key = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end
local function ends_in(microseconds)
  redis.call('PEXPIRE', key, text(math.ceil(math.max(microseconds, 1000) / 1000)))
end
"""

#: ARGV: token, ttl, since, '1' if it has asked before. Returns {'h', epoch, kind, body, age},
#: {'w', epoch} or {'b', epoch, remaining}.
ACQUIRE = f"""{_NOW}
local token, ttl, since = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', key, 'e', 't', 'u', 'w', 'l', 'x', 'd')
local epoch, ends = tonumber(state[1] or 0), tonumber(state[3] or 0)
local landed, usable = tonumber(state[5] or 0), tonumber(state[6] or 0)
if since > 0 and landed >= since and usable > now then
  local outcome = redis.call('HMGET', key, 'k', 'b', 'a')
  return {{'h', text(landed), outcome[1], outcome[2], text(now - outcome[3])}}
end
-- What seems to last for longer than it was taken for is from before the clock went back.
if state[2] and ends > now and ends - now <= tonumber(state[7]) then
  if state[2] == token then return {{'w', text(epoch)}} end
  if not state[4] then redis.call('HSET', key, 'w', 1) end
  return {{'b', text(epoch), text(ends - now)}}
end
epoch = math.max(epoch + 1, now)
redis.call('HSET', key, 'e', text(epoch), 't', token, 'u', text(now + ttl), 'd', text(ttl))
if since > 0 and ARGV[4] == '1' then redis.call('HSET', key, 'w', 1) end
ends_in(math.max(2 * ttl, usable - now))
return {{'w', text(epoch)}}
"""

#: ARGV: token, ttl. Returns 1, or 0 if the token does not hold the lease.
RENEW = f"""{_NOW}
local ttl = tonumber(ARGV[2])
local state = redis.call('HMGET', key, 't', 'x')
if state[1] ~= ARGV[1] then return 0 end
redis.call('HSET', key, 'u', text(now + ttl), 'd', text(ttl))
ends_in(math.max(2 * ttl, tonumber(state[2] or 0) - now))
return 1
"""

#: What ends a lease: tell who waits; then drop the hash, unless it has an outcome to be used.
_LEAVE = """
local function leave(channel, message, waited, usable)
  if waited then redis.call('PUBLISH', channel, message) end
  if usable > now then ends_in(usable - now) else redis.call('DEL', key) end
end
"""

#: ARGV: token, epoch, kind, body, keep, '1' if it is wanted anyway, channel, message. Returns 1, or
#: 0 if the token does not hold the lease; 1 also if it has committed this before.
COMMIT = f"""{_NOW}{_LEAVE}
local state = redis.call('HMGET', key, 't', 'w', 'l', 'x')
if state[1] ~= ARGV[1] then return state[3] == ARGV[2] and 1 or 0 end
redis.call('HDEL', key, 't', 'u', 'd', 'w')
local usable = tonumber(state[4] or 0)
if state[2] or ARGV[6] == '1' then
  usable = now + tonumber(ARGV[5])
  redis.call('HSET', key, 'l', ARGV[2], 'k', ARGV[3], 'b', ARGV[4])
  redis.call('HSET', key, 'a', text(now), 'x', text(usable))
end
leave(ARGV[7], ARGV[8], state[2], usable)
return 1
"""

#: ARGV: token, channel, message. Returns 1, or 0 if the token does not hold the lease.
RELEASE = f"""{_NOW}{_LEAVE}
local state = redis.call('HMGET', key, 't', 'w', 'x')
if state[1] ~= ARGV[1] then return 0 end
redis.call('HDEL', key, 't', 'u', 'd')
if state[2] then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
else
  leave(ARGV[2], ARGV[3], false, tonumber(state[3] or 0))
end
return 1
"""

#: ARGV: channel, message. Returns 1.
INVALIDATE = """
local key = KEYS[1]
redis.call('HDEL', key, 't', 'u', 'd', 'l', 'k', 'b', 'a', 'x')
if redis.call('HEXISTS', key, 'w') == 0 then redis.call('DEL', key) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""

#: ARGV: channel, message. Returns 1. The key says nothing but which server is asked.
INVALIDATE_ALL = """
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""

#: ARGV: kind, body, keep, channel, message. Returns 1.
REPLACE = f"""{_NOW}
local keep = tonumber(ARGV[3])
local epoch = text(math.max(tonumber(redis.call('HGET', key, 'e') or 0) + 1, now))
redis.call('DEL', key)
redis.call('HSET', key, 'e', epoch, 'l', epoch, 'k', ARGV[1], 'b', ARGV[2])
redis.call('HSET', key, 'a', text(now), 'x', text(now + keep))
ends_in(keep)
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
"""

#: Returns {epoch, kind, body, age}, or nothing.
READ = f"""{_NOW}
local state = redis.call('HMGET', key, 'l', 'k', 'x', 'a')
if not state[1] or tonumber(state[3]) <= now then return false end
return {{state[1], state[2], redis.call('HGET', key, 'b'), text(now - state[4])}}
"""

#: KEYS: the set of a tag. ARGV: member, keep. Members are kept for that long at least.
TAG = f"""{_NOW}
local keep = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now))
redis.call('ZADD', key, 'GT', text(now + keep), ARGV[1])
local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
ends_in(tonumber(last[2]) - now)
return 1
"""

#: KEYS: the set of a tag. Returns its members.
TAGGED = "return redis.call('ZRANGE', KEYS[1], 0, -1)"

#: Says whether this user may do what the other scripts do. ARGV: channel, a name of a tag's set.
#: Nothing of it is done: what is published all processes would get, and a server that is short of
#: memory, or a replica, would refuse to write, though it can be heard.
MAY = """
local key, channel, tag = KEYS[1], ARGV[1], ARGV[2]
local needed = {
  {'TIME'},
  {'HSET', key, 'e', '1'}, {'HGET', key, 'e'}, {'HMGET', key, 'e'}, {'HEXISTS', key, 'w'},
  {'HDEL', key, 'e'}, {'DEL', key}, {'PEXPIRE', key, '1'},
  {'ZADD', tag, 'GT', '1', 'k'}, {'ZRANGE', tag, '0', '-1'},
  {'ZREMRANGEBYSCORE', tag, '-inf', '1'}, {'PEXPIRE', tag, '1'},
  {'PUBLISH', channel, ''},
}
for _, command in ipairs(needed) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM this user may not ' .. command[1])
  end
end
return 1
"""
