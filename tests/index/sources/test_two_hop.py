"""The two-hop walk against plain Python, and what it finds where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from index.sources.base import Limits
from index.sources.query_items import Lookback
from index.sources.traces import Traces
from index.sources.two_hop import TwoHop
from tests.index.sources.random_logs import (
    ROOMY,
    SMALL,
    PlainTraces,
    Row,
    assert_proposes,
    logs,
    place,
    plain_weights,
)

LOOKBACK = Lookback(items=3, session_decay=1.5, history_decay=2.5, history_weight=0.4)


def plain_walk(
    plain: PlainTraces, *, user: int, now_ms: int, users: int, items: int, beta: float
) -> dict[int, float]:
    weights, _ = plain_weights(plain.query([user], now_ms), 0, LOOKBACK)
    odds: dict[int, float] = {}
    for item, weight in weights.items():
        kept = plain.item_users.get(item, [])[-min(users, plain.limits.item_users) :]
        for other in kept:
            if other == user:
                continue
            rows = plain.user_rows[other][-min(items, plain.limits.user_items) :]
            for row in rows:
                odds[row.item] = odds.get(row.item, 0.0) + weight / len(kept) / len(rows)
    return {item: value / plain.item_count[item] ** beta for item, value in odds.items()}


@settings(max_examples=120, deadline=None)
@given(
    log=logs(),
    limits=st.sampled_from([SMALL, ROOMY]),
    users=st.sampled_from([2, 50]),
    items=st.sampled_from([3, 50]),
)
def test_the_walk_agrees_with_plain_python(log: list[Row], limits: Limits, users: int, items: int) -> None:
    traces, plain = Traces(limits), PlainTraces(limits)
    source = TwoHop(limits, traces=traces, n=5, users=users, items=items, beta=0.6, lookback=LOOKBACK)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    now_ms = log[-1].time_ms if log else 0
    ids, scores = source.propose(plain.query([1, 2, 3, 4], now_ms))
    for b, user in enumerate([1, 2, 3, 4]):
        expected = plain_walk(plain, user=user, now_ms=now_ms, users=users, items=items, beta=0.6)
        assert_proposes(ids[b], scores[b], expected=expected)


def test_beta_takes_popularity_off() -> None:
    log = [Row(2, item, Kind.CLICK, 10, 0) for item in (1, 2, 3)]
    log += [Row(3, 2, Kind.CLICK, 10_000 * k, 0) for k in range(1, 9)]  # item 2 is popular with others
    log += [Row(1, 1, Kind.CLICK, 90_000, 0)]
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    query = plain.query([1], 90_000)
    fair, _ = TwoHop(ROOMY, traces=traces, n=3, beta=0.0).propose(query)
    novel, scores = TwoHop(ROOMY, traces=traces, n=3, beta=1.0).propose(query)
    assert fair[0].tolist() == [1, 2, 3]  # equal odds, so by row
    assert novel[0].tolist() == [3, 1, 2]
    np.testing.assert_allclose(scores[0, 0] / scores[0, 2], 9.0, rtol=1e-5)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"beta 1\.5"):
        TwoHop(SMALL, traces=Traces(SMALL), beta=1.5)
