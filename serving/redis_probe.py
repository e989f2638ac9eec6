"""Tries every command that a batch needs, on keys of its own, before the first batch.

A script that is not permitted one of its commands stops there, and what it wrote before stays: offsets without the
states they cover. So a worker whose user may not do everything must not write at all.
"""

from serving.keys import KeySpace
from serving.redis_scripts import Command, Script

PROBE = Script(
    """
local applied, pending, state = KEYS[1], KEYS[2], KEYS[3]
redis.call('HGETALL', applied)
redis.call('ZCARD', pending)
redis.call('MGET', state)
redis.call('SET', state, '', 'PX', 1)
redis.call('ZADD', pending, 1, 'probe')
redis.call('PEXPIRE', pending, 1)
redis.call('ZREM', pending, 'probe')
redis.call('HSET', applied, 'probe', 1)
redis.call('PEXPIRE', applied, 1)
return 1
"""
)


def probe_call(keys: KeySpace) -> Command:
    """PROBE over three keys that vanish at once."""
    return PROBE.call([f"{keys.prefix}:{{probe}}:{part}" for part in ("applied", "pending", "u:probe")], [])


def probe_commands(keys: KeySpace) -> list[Command]:
    """What the store calls outside of scripts."""
    return [("GET", keys.naming), ("ZREVRANGE", f"{keys.prefix}:{{probe}}:pending", 0, 0)]
