"""What Redis and the topics hold after a fuzz run, held against the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from events.errors import BadEvent
from events.ids import stable_hash
from events.item_vector import decode_item_vector
from events.limits import MAX_TITLE_CHARS
from load.verdicts import Verdicts
from serving.redis_store import RedisStore
from serving.state_layout import EVENTS
from streams.building import state_codec
from streams.settings import Settings

_AT_ONCE = 500


@dataclass(slots=True)
class Check:
    """How many were looked at, and what was wrong."""

    checked: int = 0
    unordered: int = 0  # checked within bounds only
    problems: list[str] = field(default_factory=list)


async def check_states(settings: Settings, *, verdicts: Verdicts) -> Check:
    """Every user's state counts as many events as the log has for the user, duplicates left out.

    Events of a user on several topics have no order among them, so which of them repeat another is not known:
    the count must lie between.
    """
    check = Check()
    codec = state_codec(settings)
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    store = RedisStore(settings.redis.options(), keys=keys)
    users = sorted(verdicts.users)
    try:
        for start in range(0, len(users), _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            stored = await store.read(some)
            hashes = np.array([stable_hash(user) for _, user in some], np.int64)
            counted = codec.unpack(stored.states, users=hashes)[:, EVENTS].tolist()
            for user, events in zip(some, counted, strict=True):
                expected = verdicts.users[user]
                alone = len(expected.topics) == 1
                most = expected.applied + (0 if alone else expected.repeated)
                least = expected.applied if alone else 1
                check.unordered += not alone
                if not least <= events <= most:
                    check.problems.append(
                        f"state of {user} counts {events} events, expected {least} to {most}"
                    )
    finally:
        await store.close()
    check.checked = len(users)
    return check


def check_slates(verdicts: Verdicts, slates: Iterable[Any]) -> Check:
    """Whoever did something has a slate."""
    served = {msgspec.json.decode(record.value)["user_id"] for record in slates}
    asked = {user for (_, user), counts in verdicts.users.items() if counts.asks}
    return Check(checked=len(asked), problems=[f"no slate for {user!r}" for user in sorted(asked - served)])


def check_items(verdicts: Verdicts, vectors: Iterable[Any]) -> Check:
    """The last vector of each item is of its last good record, where all of them lie in one partition."""
    latest: dict[str, str | None] = {}
    check = Check()
    for record in vectors:
        try:
            item = None if record.value is None else decode_item_vector(record.value)
        except BadEvent as error:
            check.problems.append(f"vector at {record.partition}@{record.offset}: {error}")
            continue
        latest[(record.key or b"").decode()] = None if item is None else item.title
    for item_id, by_partition in verdicts.items.items():
        if len(by_partition) > 1:
            check.unordered += 1
            continue
        check.checked += 1
        [title] = by_partition.values()
        expected = None if title is None else title[:MAX_TITLE_CHARS]
        if item_id not in latest or latest[item_id] != expected:
            check.problems.append(
                f"item {item_id!r} has {latest.get(item_id, 'no vector')!r}, expected {expected!r}"
            )
    return check
