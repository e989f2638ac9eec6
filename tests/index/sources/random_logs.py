"""Random logs, and what `Traces` promises of them in plain Python: the ground that source tests stand on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from hypothesis import strategies as st

from events.columns import Kind
from index.sources.base import LearnBatch, Limits, Query
from index.sources.query_items import Lookback
from index.sources.traces import Traces

SMALL = Limits(
    items=9,
    users=5,
    sessions=6,
    session_length=7,
    user_items=8,
    item_sessions=4,
    item_users=3,
    neighbours=3,
    session_gap_ms=1000,
)
ROOMY = Limits(
    items=9,
    users=5,
    sessions=64,
    session_length=32,
    user_items=64,
    item_sessions=32,
    item_users=32,
    neighbours=12,
    session_gap_ms=1000,
)


@dataclass(frozen=True)
class Row:
    """One interaction of a log."""

    user: int
    item: int
    kind: int
    time_ms: int
    session_id: int


def logs(min_size: int = 0, max_size: int = 60) -> st.SearchStrategy[list[Row]]:
    """Logs of 4 users and 8 items; times mostly rise, sometimes stand still, jump or fall back."""
    step = st.sampled_from([0, 0, 7, 300, 300, 900, 2000, -40, -5000])
    cell = st.tuples(
        st.integers(0, 4), st.integers(0, 8), st.sampled_from([2, 2, 2, 3, 5, 5, 1, 4, 6]), step,
        st.sampled_from([0, 0, 0, 0, 11, 12]),
    )  # fmt: skip

    def with_times(cells: list[tuple[int, int, int, int, int]]) -> list[Row]:
        now, rows = 1_000_000, []
        for user, item, kind, ahead, session_id in cells:
            now += ahead
            rows.append(Row(user, item, kind, now, session_id))
        return rows

    return st.lists(cell, min_size=min_size, max_size=max_size).map(with_times)


def place(traces: Traces, rows: Sequence[Row]) -> Iterator[LearnBatch]:
    """`Traces.place` of these rows."""
    return traces.place(
        np.array([r.user for r in rows], np.int32),
        items=np.array([r.item for r in rows], np.int32),
        kinds=np.array([r.kind for r in rows], np.int8),
        times_ms=np.array([r.time_ms for r in rows], np.int64),
        quantities=np.ones(len(rows), np.float32),
        events=np.arange(len(rows), dtype=np.int32),
        session_ids=np.array([r.session_id for r in rows], np.int64),
    )


def cut(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """The log in batches of `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@dataclass
class PlainSession:
    """A session as a list; `serial` as in `Traces`."""

    serial: int
    user: int
    session_id: int
    last_ms: int
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Placed:
    """A row with what its learners may see: what came before it in its session and of its user."""

    row: Row
    before_in_session: list[Row]
    before_of_user: list[Row]


class PlainTraces:
    """`Traces` with lists that never end; what a ring has forgotten is left out when it is read."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sessions: list[PlainSession] = []
        self.user_rows: dict[int, list[Row]] = {}
        self.user_session: dict[int, PlainSession] = {}
        self.user_last_ms: dict[int, int] = {}
        self.item_sessions: dict[int, list[PlainSession]] = {}
        self.item_users: dict[int, list[int]] = {}
        self.item_count: dict[int, int] = {}
        self.item_first_ms: dict[int, int] = {}

    def is_live(self, session: PlainSession) -> bool:
        return session.serial > len(self.sessions) - (self.limits.sessions - 1)

    def current(self, user: int, now_ms: int, session_id: int = 0) -> PlainSession | None:
        session = self.user_session.get(user)
        if session is None or not self.is_live(session):
            return None
        if now_ms - self.user_last_ms[user] > self.limits.session_gap_ms:
            return None
        if session_id and session.session_id and session_id != session.session_id:
            return None
        return session

    def add(self, row: Row) -> Placed | None:
        if row.user == 0 or row.item == 0:
            return None
        self.item_first_ms[row.item] = min(row.time_ms, self.item_first_ms.get(row.item, row.time_ms))
        if row.kind not in (Kind.CLICK, Kind.CART, Kind.PURCHASE):
            return None
        session = self.current(row.user, row.time_ms, row.session_id)
        if session is None:
            session = PlainSession(len(self.sessions) + 1, row.user, 0, row.time_ms)
            self.sessions.append(session)
            self.user_session[row.user] = session
        session.session_id = row.session_id or session.session_id
        session.last_ms = max(session.last_ms, row.time_ms)
        last = self.user_last_ms.get(row.user)
        if last is None or row.time_ms > last or last - row.time_ms > self.limits.session_gap_ms:
            self.user_last_ms[row.user] = row.time_ms
        of_user = self.user_rows.setdefault(row.user, [])
        half = self.limits.session_length - self.limits.session_length // 2
        kept = self.limits.user_items - self.limits.user_items // 2
        placed = Placed(row, session.rows[-half:], of_user[-kept:])
        session.rows.append(row)
        of_user.append(row)
        self.item_count[row.item] = self.item_count.get(row.item, 0) + 1
        for_item = self.item_sessions.setdefault(row.item, [])
        if not for_item or for_item[-1] is not session:
            for_item.append(session)
        users = self.item_users.setdefault(row.item, [])
        if not users or users[-1] != row.user:
            users.append(row.user)
        return placed

    def items_of(self, session: PlainSession) -> list[int]:
        """What the ring still holds of the session, oldest first."""
        return [row.item for row in session.rows[-self.limits.session_length :]]

    def sessions_of(self, item: int) -> list[PlainSession]:
        """The live ones of the item's last K sessions, oldest first."""
        return [s for s in self.item_sessions.get(item, [])[-self.limits.item_sessions :] if self.is_live(s)]

    def query(self, users: Sequence[int], now_ms: int, width: int = 8) -> Query:
        """What the serving state would ask for these users now."""
        length, rows = self.limits.session_length, len(users)
        session, history = np.zeros((rows, length), np.int32), np.zeros((rows, width), np.int32)
        last_ms = np.zeros((rows, width), np.int64)
        for b, user in enumerate(users):
            current = self.current(user, now_ms)
            if current is not None:
                items = self.items_of(current)[::-1]
                session[b, : len(items)] = items
            distinct = list(dict.fromkeys(r.item for r in reversed(self.user_rows.get(user, []))))[:width]
            history[b, : len(distinct)] = distinct
            latest = {row.item: row.time_ms for row in self.user_rows.get(user, [])}
            last_ms[b, : len(distinct)] = [latest[item] for item in distinct]
        return Query(
            users=np.array(users, np.int32),
            now_ms=np.full(rows, now_ms, np.int64),
            session=session,
            session_times_ms=np.zeros((rows, length), np.int64),
            session_kinds=np.zeros((rows, length), np.int8),
            history=history,
            left_aside=np.zeros_like(history),
            history_last_ms=last_ms,
            history_first_ms=np.zeros((rows, width), np.int64),
            history_views=np.zeros((rows, width), np.float32),
            history_purchases=np.zeros((rows, width), np.float32),
            history_decayed=np.zeros((rows, width), np.float32),
        )


def plain_weights(query: Query, b: int, lookback: Lookback) -> tuple[dict[int, float], int]:
    """What each item that query `b` asks about weighs, in order; and the item just touched, 0 if none."""
    session = list(dict.fromkeys(i for i in query.session[b].tolist() if i))[: lookback.items]
    older = list(dict.fromkeys(i for i in query.history[b].tolist() if i and i not in session))
    scale = lookback.history_weight if session else 1.0
    weights = {item: math.exp(-r / lookback.session_decay) for r, item in enumerate(session)}
    if scale > 0:
        older = older[: lookback.items - len(session)]
        last_ms = dict(zip(query.history[b].tolist(), query.history_last_ms[b].tolist(), strict=True))
        for rank, (_, basket) in enumerate(groupby(older, key=lambda item: last_ms[item])):
            weights |= dict.fromkeys(basket, scale * math.exp(-rank / lookback.history_decay))
    return weights, session[0] if session else 0


def assert_proposes(
    items: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
    scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    *,
    expected: dict[int, float],
) -> None:
    """One query's proposals, (n,) items and scores, are the best n of `expected` within float32 rounding."""
    found = items[items > 0]
    assert len(found) == min(len(items), len(expected)), (items, expected)
    assert not items[len(found) :].any()
    assert not scores[len(found) :].any()
    assert len(set(found.tolist())) == len(found)
    for item, score in zip(found.tolist(), scores.tolist(), strict=False):
        assert abs(score - expected[item]) <= 1e-5 * abs(expected[item]), (item, score, expected)
    order = list(zip((-scores[: len(found)]).tolist(), found.tolist(), strict=True))
    assert order == sorted(order)
    left = [score for item, score in expected.items() if item not in found]
    assert not left or max(left) <= scores[len(found) - 1] * (1 + 1e-5)
