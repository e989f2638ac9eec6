"""Session kNN against plain Python, and its ranking where the answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from index.errors import SnapshotError
from index.sources.base import Limits
from index.sources.query_items import Lookback
from index.sources.session_knn import SessionKnn, SessionKnnConfig
from index.sources.traces import Traces
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

LOOKBACK = Lookback(items=4, session_decay=1.5, history_decay=2.5, history_weight=0.4)
CONFIG = SessionKnnConfig(neighbours=64, age_decay_ms=4000.0, place_decay=2.0, lookback=LOOKBACK)


def plain_votes(plain: PlainTraces, config: SessionKnnConfig, *, user: int, now_ms: int) -> dict[int, float]:
    """STAN for one user, over lists."""
    asked, touched = plain_weights(plain.query([user], now_ms), 0, config.lookback)
    own = plain.user_session.get(user)
    likeness: dict[int, float] = {}
    for item, weight in asked.items():
        for serial in {s.serial for s in plain.sessions_of(item) if s is not own}:
            likeness[serial] = likeness.get(serial, 0.0) + weight
    votes: dict[int, float] = {}
    for serial, shared_weight in likeness.items():
        session = plain.sessions[serial - 1]
        rows = session.rows[-plain.limits.session_length :]
        age = max(0, now_ms - session.last_ms)
        weight = shared_weight * math.exp(-age / config.age_decay_ms) / math.sqrt(len(rows))
        met = next(i for i in asked if session in plain.sessions_of(i))
        shared = max((at for at, row in enumerate(rows) if row.item == met), default=None)
        if shared is None:
            continue
        for at, row in enumerate(rows):
            same_instant = row.time_ms == rows[shared].time_ms and at != shared
            apart = 1 if same_instant else abs(at - shared)
            votes[row.item] = votes.get(row.item, 0.0) + weight * math.exp(-apart / config.place_decay)
    votes.pop(touched, None)
    return votes


@settings(max_examples=150, deadline=None)
@given(log=logs(20), limits=st.sampled_from([SMALL, ROOMY]), history_weight=st.sampled_from([0.0, 0.4]))
def test_votes_agree_with_plain_python(log: list[Row], limits: Limits, history_weight: float) -> None:
    config = replace(CONFIG, lookback=replace(LOOKBACK, history_weight=history_weight))
    traces, plain = Traces(limits), PlainTraces(limits)
    source = SessionKnn(limits, traces, n=5, config=config)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    now_ms = log[-1].time_ms if log else 0
    users = [1, 2, 3, 4]
    rows, scores = source.propose(plain.query(users, now_ms))
    for b, user in enumerate(users):
        assert_proposes(rows[b], scores[b], expected=plain_votes(plain, config, user=user, now_ms=now_ms))


def visit(user: int, *items: int, start_ms: int) -> list[Row]:
    return [Row(user, item, Kind.CLICK, start_ms + 10 * at, 0) for at, item in enumerate(items)]


def test_what_follows_the_shared_item_closely_in_alike_and_recent_sessions_wins() -> None:
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    source = SessionKnn(ROOMY, traces, n=4, config=CONFIG)
    log = [
        *visit(1, 1, 2, 3, start_ms=10_000),
        *visit(2, 1, 4, start_ms=20_000),
        *visit(3, 5, 6, start_ms=20_000),
        *visit(4, 1, start_ms=20_500),
    ]
    list(place(traces, log))
    for row in log:
        plain.add(row)
    rows, _ = source.propose(plain.query([4], 20_500))
    assert rows[0].tolist() == [4, 2, 3, 0]


def test_only_the_most_alike_sessions_vote() -> None:
    config = SessionKnnConfig(neighbours=1, lookback=replace(LOOKBACK, history_weight=0.0))
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    source = SessionKnn(ROOMY, traces, n=4, config=config)
    log = [*visit(1, 1, 2, 3, start_ms=0), *visit(2, 2, 4, 5, start_ms=0), *visit(3, 1, 2, start_ms=100)]
    list(place(traces, log))
    for row in log:
        plain.add(row)
    assert set(source.propose(plain.query([3], 200))[0][0].tolist()) == {1, 3, 0}


def test_a_session_that_comes_back_to_an_item_after_others_counts_once() -> None:
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    source = SessionKnn(ROOMY, traces, n=4, config=CONFIG)
    log = [
        Row(1, 1, Kind.CLICK, 100, 0),
        Row(2, 1, Kind.CLICK, 200, 0),
        Row(1, 1, Kind.CART, 300, 0),
        Row(1, 2, Kind.CLICK, 400, 0),
        Row(2, 3, Kind.CLICK, 500, 0),
        Row(3, 1, Kind.CLICK, 600, 0),
    ]
    list(place(traces, log))
    for row in log:
        plain.add(row)
    assert traces.item_session_count[1] == 4
    rows, scores = source.propose(plain.query([3], 600))
    assert_proposes(rows[0], scores[0], expected=plain_votes(plain, CONFIG, user=3, now_ms=600))


def test_only_the_latest_sessions_of_an_item_are_looked_at() -> None:
    config = replace(CONFIG, sessions_per_item=2)
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    source = SessionKnn(ROOMY, traces, n=4, config=config)
    log = [row for n in (1, 2, 3) for row in visit(n, 1, 1 + n, start_ms=100 * n)] + visit(4, 1, start_ms=500)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    # The fourth user's own session is one of the two.
    assert source.propose(plain.query([4], 600))[0][0].tolist() == [4, 0, 0, 0]


def test_an_unknown_user_without_items_gets_nothing() -> None:
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    list(place(traces, visit(1, 1, 2, start_ms=0)))
    rows, scores = SessionKnn(ROOMY, traces, n=4).propose(plain.query([0, 3], 50))
    assert not rows.any()
    assert not scores.any()


def test_a_foreign_snapshot_is_refused() -> None:
    source = SessionKnn(SMALL, Traces(SMALL))
    source.restore(source.snapshot())
    with pytest.raises(SnapshotError, match="session_knn"):
        source.restore({"partners": np.zeros(1)})


@pytest.mark.parametrize("wrong", [{"age_decay_ms": float("nan")}, {"neighbours": -1}, {"place_decay": 0.0}])
def test_a_config_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)
