"""The one script that writes a batch into a partition, and how its arguments are laid out.

Redis runs a script alone and does not undo it, so everything that can fail comes before the first change.
"""

from hashlib import sha1

from serving.keys import BATCH_FIELD, KeySpace
from serving.ports import PartitionWrite

WRITE = f"""
local applied, pending = KEYS[1], KEYS[2]
local batch = ARGV[1]
local at = 1
local function take() at = at + 1; return ARGV[at] end

local held, count = {{}}, 0
local stored = redis.call('HGETALL', applied)
for i = 1, #stored, 2 do
  if stored[i] == '{BATCH_FIELD}' then
    if stored[i + 1] == batch then return {{1}} end
  else
    held[stored[i]] = stored[i + 1]
    count = count + 1
  end
end
local expected = tonumber(take())
local stale = expected ~= count
for _ = 1, expected do
  local topic = take()
  if held[topic] ~= take() then stale = true end
end
if stale then return {{0, stored}} end
redis.call('ZCARD', pending)

redis.call('HSET', applied, '{BATCH_FIELD}', batch)
for _ = 1, tonumber(take()) do
  local topic = take()
  redis.call('HSET', applied, topic, take())
end
local key = 2
for _ = 1, 2 do
  local values, ttl_ms = tonumber(take()), take()
  for _ = 1, values do
    key = key + 1
    redis.call('SET', KEYS[key], take(), 'PX', ttl_ms)
  end
end
local waiting, ttl_ms = tonumber(take()), take()
for _ = 1, waiting do
  local last_ms = take()
  redis.call('ZADD', pending, last_ms, take())
end
if waiting > 0 then redis.call('PEXPIRE', pending, ttl_ms) end
for _ = 1, tonumber(take()) do
  redis.call('ZREM', pending, take())
end
return {{1}}
"""
"""Returns {1} when the batch is applied, now or before, and {0, the hash of watermarks} when it is stale."""

WRITE_SHA = sha1(WRITE.encode(), usedforsecurity=False).hexdigest()


def write_arguments(write: PartitionWrite, *, keys: KeySpace) -> list[str | bytes | int]:
    """Number of keys, keys and arguments of WRITE, in the order in which the script takes them."""
    at = write.partition
    state_ttl_ms, slate_ttl_ms = keys.state_ttl_s * 1000, keys.slate_ttl_s * 1000
    names = [keys.applied(at), keys.pending(at)]
    names += [keys.state(at, user_id) for user_id in write.states]
    names += [keys.slate(at, user_id) for user_id in write.slates]
    arguments: list[str | bytes | int] = [len(names), *names, write.batch_id]
    arguments.append(len(write.expected))
    for topic, offset in write.expected.items():
        arguments += (topic, offset)
    arguments.append(len(write.applied))
    for topic, offset in write.applied.items():
        arguments += (topic, offset)
    arguments += (len(write.states), state_ttl_ms, *write.states.values())
    arguments += (len(write.slates), slate_ttl_ms, *write.slates.values())
    arguments += (len(write.waiting), state_ttl_ms)
    for user_id, last_ms in write.waiting.items():
        arguments += (last_ms, user_id)
    arguments += (len(write.served), *write.served)
    return arguments
