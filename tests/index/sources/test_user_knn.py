"""User kNN against plain Python, and its ranking where the answer is known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from index.sources.base import Limits
from index.sources.query_items import Lookback
from index.sources.traces import Traces
from index.sources.user_knn import UserKnn
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


def plain_votes(plain: PlainTraces, *, user: int, now_ms: int, users: int, items: int) -> dict[int, float]:
    """All neighbours vote: the log has fewer users than the source keeps."""
    weights, _ = plain_weights(plain.query([user], now_ms), 0, LOOKBACK)
    similar: dict[int, float] = {}
    for item, weight in weights.items():
        met = plain.item_users.get(item, [])
        for other in set(met[-min(users, plain.limits.item_users) :]) - {user}:
            similar[other] = similar.get(other, 0.0) + weight / math.log2(2 + len(met))
    votes: dict[int, float] = {}
    for other, shared in similar.items():
        rows = plain.user_rows[other]
        cosine = shared / math.sqrt(min(len(rows), plain.limits.user_items))
        for item in {row.item for row in rows[-min(items, plain.limits.user_items) :]}:
            votes[item] = votes.get(item, 0.0) + cosine
    return votes


@settings(max_examples=120, deadline=None)
@given(
    log=logs(),
    limits=st.sampled_from([SMALL, ROOMY]),
    users=st.sampled_from([2, 50]),
    items=st.sampled_from([3, 50]),
)
def test_votes_agree_with_plain_python(log: list[Row], limits: Limits, users: int, items: int) -> None:
    traces, plain = Traces(limits), PlainTraces(limits)
    source = UserKnn(limits, traces=traces, n=5, users=users, neighbours=6, items=items, lookback=LOOKBACK)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    now_ms = log[-1].time_ms if log else 0
    ids, scores = source.propose(plain.query([1, 2, 3, 4], now_ms))
    for b, user in enumerate([1, 2, 3, 4]):
        expected = plain_votes(plain, user=user, now_ms=now_ms, users=users, items=items)
        assert_proposes(ids[b], scores[b], expected=expected)


def test_the_most_alike_user_has_the_say() -> None:
    log = [Row(2, item, Kind.CLICK, 10 * item, 0) for item in (1, 2, 5)]  # shares two of three
    log += [Row(3, item, Kind.CLICK, 10 * item, 0) for item in (1, 6, 7)]  # shares one of three
    log += [Row(1, item, Kind.CLICK, 5000 + item, 0) for item in (1, 2)]
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    list(place(traces, log))
    for row in log:
        plain.add(row)
    query = plain.query([1], 5002)
    ids, _ = UserKnn(ROOMY, traces=traces, n=9, neighbours=4).propose(query)
    assert ids[0, :5].tolist() == [1, 2, 5, 6, 7]
    nearest_only, _ = UserKnn(ROOMY, traces=traces, n=9, neighbours=1).propose(query)
    assert set(nearest_only[0].tolist()) == {0, 1, 2, 5}


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="neighbours 0"):
        UserKnn(SMALL, traces=Traces(SMALL), neighbours=0)
