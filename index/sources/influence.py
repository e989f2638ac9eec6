"""Which events may move what all shoppers share: none twice, and no more of one user than a shopper can mean.

A user's own state takes every event; candidate sources and the learner take what has influence. Both ask the same
kernel, so that they agree, and its answers are a function of the log alone.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from events.flatten import EventColumns
from index.snapshot import copied, fill

I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

ID_WAYS, USER_WAYS = 8, 4  # places where an id, a user can be kept: a set of the table
KEY, USED_US, LATEST_MS, TOUCHED, TOLD = range(5)  # columns of `users`
_HOUR_US = 3_600_000_000


class Verdict(IntEnum):
    """What an event may do."""

    COUNTS = 0
    DUPLICATE = 1  # the user's event of this id was taken before
    OVER_BUDGET = 2  # the user has done more than anybody means
    NEWLY_OVER = 3  # the same, for the first time since the budget was whole: worth a line in the log


@dataclass(frozen=True, slots=True)
class InfluenceConfig:
    """The budget of a user, in items clicked, put into the cart or bought, and how much is remembered.

    No shopper of the streams that this was tried on comes near it: docs/limits.md.
    """

    burst: int = 2_000  # items at once
    per_hour: int = 200  # items that come back every hour of event time
    ids: int = 1 << 18  # latest event ids
    users: int = 1 << 16  # latest users

    def __post_init__(self) -> None:
        if self.burst < 1 or not 1 <= self.per_hour <= _HOUR_US:
            raise ValueError(f"burst is {self.burst}, per_hour {self.per_hour}; both must be at least 1")
        for name, least in (("ids", ID_WAYS), ("users", USER_WAYS)):
            size = getattr(self, name)
            if size < least or size & (size - 1):
                raise ValueError(f"{name} is {size}; it must be a power of 2, at least {least}")


class Influence:
    """Judges events in log order.

    A duplicate is an event whose user and event_id are among the last `ids` or so that had items clicked, put into
    the cart or bought: a table of sets of 8, in each of which the oldest gives way. The budget is a token bucket
    in event time (Turner's leaky bucket as GCRA, ITU-T I.371): one number says when a user's bucket will be full
    again. Time runs forward only, so late events neither fill it nor are punished. Of a set of 4 users the one who
    has been away longest gives way, and begins anew with a full bucket.

    What has no such items (impressions, searches, what is taken back) costs nothing, and has influence unless the
    user's bucket is empty.

    - `ids` (S, 8) int64, 0 where free; `next_id` (S,) int8 which of a set gives way next
    - `users` (R, 4, 5) int64: hash, bucket in microseconds, latest event ms, when last seen, whether it was told
    - `seen` (1,) int64: events judged
    """

    def __init__(self, config: InfluenceConfig) -> None:
        self.config = config
        self.ids = np.zeros((config.ids // ID_WAYS, ID_WAYS), np.int64)
        self.next_id = np.zeros(config.ids // ID_WAYS, np.int8)
        self.users = np.zeros((config.users // USER_WAYS, USER_WAYS, 5), np.int64)
        self.seen = np.zeros(1, np.int64)

    def judge(self, *, users: I64, event_ids: I64, times_ms: I64, items: I64) -> I8:
        """(n,) int8 `Verdict` of each of n events, in log order.

        users, event_ids: (n,) stable_hash; items: (n,) how many were clicked, put into the cart or bought.
        """
        verdicts = np.zeros(len(users), np.int8)
        each_us = _HOUR_US // self.config.per_hour
        _judge(users, event_ids, times_ms, items, each_us, self.config.burst * each_us, self.ids, self.next_id,
               self.users, self.seen, verdicts)  # fmt: skip
        return verdicts

    def judge_columns(self, columns: EventColumns) -> I8:
        """(n,) int8 `Verdict` of each event of `columns`."""
        told = columns.interactions
        counted = (told.kinds == Kind.CLICK) | (told.kinds == Kind.CART) | (told.kinds == Kind.PURCHASE)
        return self.judge(
            users=columns.user_hashes[columns.event_user],
            event_ids=columns.event_ids,
            times_ms=columns.event_times_ms,
            items=np.bincount(told.events[counted], minlength=len(columns)).astype(np.int64),
        )

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as copies."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill(self._arrays(), arrays, owner="influence")

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"ids": self.ids, "next_id": self.next_id, "users": self.users, "seen": self.seen}


def that_count(interactions: Interactions, verdicts: I8) -> Interactions:
    """The rows of the events that have influence; verdicts: (n,) of all events."""
    if not verdicts.any():
        return interactions
    kept = (verdicts == Verdict.COUNTS)[interactions.events]
    return Interactions(
        users=interactions.users[kept],
        items=interactions.items[kept],
        kinds=interactions.kinds[kept],
        times_ms=interactions.times_ms[kept],
        quantities=interactions.quantities[kept],
        sessions=interactions.sessions[kept],
        events=interactions.events[kept],
    )


@njit(nogil=True, cache=True)
def _mixed(key: int) -> int:
    """The key's bits spread (the finaliser of MurmurHash3), as a number from 0 to 2^63 - 1."""
    x = np.uint64(key)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return int(np.int64((x ^ (x >> np.uint64(33))) >> np.uint64(1)))


@njit(nogil=True, cache=True)
def _taken_before(key: int, ids: I64, next_id: I8) -> bool:
    """Whether the id is remembered; if it is not, it is now."""
    at = _mixed(key) & (len(ids) - 1)
    for way in range(ID_WAYS):
        if ids[at, way] == key:
            return True
    ids[at, next_id[at]] = key
    next_id[at] = (next_id[at] + 1) % ID_WAYS
    return False


@njit(nogil=True, cache=True)
def _way_of(user: int, row: I64) -> int:
    """Where the user is in the set `row` (4, 5), or else who gives way."""
    oldest = 0
    for way in range(USER_WAYS):
        if row[way, KEY] == user:
            return way
        if row[way, TOUCHED] < row[oldest, TOUCHED]:
            oldest = way
    return oldest


@njit(nogil=True, cache=True)
def _judge(
    users: I64,
    event_ids: I64,
    times_ms: I64,
    items: I64,
    each_us: int,
    bucket_us: int,
    ids: I64,
    next_id: I8,
    table: I64,
    seen: I64,
    verdicts: I8,
) -> None:
    for e in range(len(users)):
        user, cost = users[e], items[e]
        seen[0] += 1
        if cost > 0 and _taken_before(event_ids[e] ^ _mixed(user), ids, next_id):
            verdicts[e] = 1
            continue
        row = table[_mixed(user) & (len(table) - 1)]
        way = _way_of(user, row)
        known = row[way, KEY] == user
        if not known:
            if cost == 0:
                continue
            row[way, :] = 0
            row[way, KEY] = user
        row[way, TOUCHED] = seen[0]
        row[way, LATEST_MS] = max(row[way, LATEST_MS], times_ms[e])
        now_us = row[way, LATEST_MS] * 1_000
        full_us = max(row[way, USED_US], now_us)  # when the bucket is full again
        if full_us == now_us:
            row[way, TOLD] = 0
        if full_us + max(cost, 1) * each_us - now_us > bucket_us:
            verdicts[e] = 2 if row[way, TOLD] else 3
            row[way, TOLD] = 1
        elif cost > 0:
            row[way, USED_US] = full_us + cost * each_us
