"""The scripts that read and write a batch, and how their keys and arguments are laid out.

One call takes any number of partitions: all of a batch's on one server, one each on a cluster, where partitions
lie on different nodes. Redis runs a script alone and does not undo it, so what can fail of a partition comes
before its first change.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha1

from serving.keys import BATCH_FIELD, KeySpace
from serving.ports import PartitionWrite

Command = tuple[str | bytes | int, ...]

_READ = """
local partitions = tonumber(ARGV[1])
local found = {}
for at = 1, 2 * partitions, 2 do
  found[at] = redis.call('HGETALL', KEYS[at])
  found[at + 1] = redis.call('ZCARD', KEYS[at + 1])
end
local count = 2 * partitions
for start = count + 1, #KEYS, 1000 do
  for _, value in ipairs(redis.call('MGET', unpack(KEYS, start, math.min(start + 999, #KEYS)))) do
    count = count + 1
    found[count] = value
  end
end
return found
"""
"""Returns each partition's hash of watermarks and number of waiting users, then the states."""

_WRITE = f"""
local at, key = 0, 0
local function take() at = at + 1; return ARGV[at] end
local function pass(n) at = at + n end

local function may_write(applied, batch)
  local stored = redis.call('HGETALL', applied)
  local held, count, done = {{}}, 0, false
  for i = 1, #stored, 2 do
    if stored[i] == '{BATCH_FIELD}' then
      done = stored[i + 1] == batch
    else
      held[stored[i]] = stored[i + 1]
      count = count + 1
    end
  end
  local expected = tonumber(take())
  local same = expected == count
  for _ = 1, expected do
    local topic = take()
    if held[topic] ~= take() then same = false end
  end
  if done then return false, nil end
  if not same then return false, stored end
  return true, nil
end

local function set_all(write)
  local values, ttl_ms = tonumber(take()), take()
  for _ = 1, values do
    key = key + 1
    local value = take()
    if write then redis.call('SET', KEYS[key], value, 'PX', ttl_ms) end
  end
end

local function write_partition()
  local applied, pending, batch = KEYS[key + 1], KEYS[key + 2], take()
  key = key + 2
  local write, stale = may_write(applied, batch)
  local waiting_now = redis.call('ZCARD', pending)
  if write then redis.call('HSET', applied, '{BATCH_FIELD}', batch) end
  for _ = 1, tonumber(take()) do
    local topic, offset = take(), take()
    if write then redis.call('HSET', applied, topic, offset) end
  end
  set_all(write)
  set_all(write)
  local waiting, ttl_ms = tonumber(take()), take()
  for _ = 1, waiting do
    local last_ms, user = take(), take()
    if write then redis.call('ZADD', pending, last_ms, user) end
  end
  if write and waiting > 0 then redis.call('PEXPIRE', pending, ttl_ms) end
  local served = tonumber(take())
  if write and waiting_now + waiting > 0 then
    for _ = 1, served do redis.call('ZREM', pending, take()) end
  else
    pass(served)
  end
  return stale
end

local refused = {{}}
for number = 1, tonumber(take()) do
  local stale = write_partition()
  if stale then
    refused[#refused + 1] = number - 1
    refused[#refused + 1] = stale
  end
end
return refused
"""
"""Writes the partitions whose watermarks are as expected and that have not seen the batch yet; returns, of each
that is stale, its place in the call and the hash of its watermarks."""


class Script:
    """A script's text, and the digest by which the server knows it once it is loaded."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, names: Sequence[str], arguments: Sequence[str | bytes | int]) -> Command:
        """The command that runs it over the keys `names`."""
        return ("EVALSHA", self.sha, len(names), *names, *arguments)


READ = Script(_READ)
WRITE = Script(_WRITE)


def read_call(users: Mapping[int, Sequence[str]], *, keys: KeySpace) -> Command:
    """READ over partitions and users of each, in their order."""
    names = [name for at in users for name in (keys.applied(at), keys.pending(at))]
    names += [keys.state(at, user_id) for at, of_partition in users.items() for user_id in of_partition]
    return READ.call(names, [len(users)])


def write_call(writes: Sequence[PartitionWrite], *, keys: KeySpace) -> Command:
    """WRITE over the partitions' writes."""
    state_ttl_ms, slate_ttl_ms = keys.state_ttl_s * 1000, keys.slate_ttl_s * 1000
    names: list[str] = []
    arguments: list[str | bytes | int] = [len(writes)]
    for write in writes:
        at = write.partition
        names += (keys.applied(at), keys.pending(at))
        names += [keys.state(at, user_id) for user_id in write.states]
        names += [keys.slate(at, user_id) for user_id in write.slates]
        arguments += (write.batch_id, len(write.expected))
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
    return WRITE.call(names, arguments)
