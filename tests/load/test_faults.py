"""Faults: every event is sent exactly once as itself, whatever else is done to the stream."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import decode
from events.examples import EVENTS
from events.ids import ItemId, UserId
from events.topics import TOPIC_OF
from events.types import Item, ViewItem
from load.errors import BadLoadConfig
from load.faults import Faults, Sending, poisoned, with_faults


def views(n: int) -> list[ViewItem]:
    return [
        ViewItem(
            event_id=f"e{number}",
            occurred_at=1_300_000_000_000 + number,
            user_id=UserId("u"),
            items=(Item(item_id=ItemId("a")),),
        )
        for number in range(n)
    ]


SHARES = st.floats(0, 1)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 80), a=SHARES, b=SHARES, c=SHARES, late_by=st.integers(1, 20), seed=st.integers(0, 9))
def test_each_event_once_and_its_faults_after_it(
    n: int, a: float, b: float, c: float, late_by: int, seed: int
) -> None:
    faults = Faults(duplicates=a, disorder=b, poison=c, late_by=late_by)
    plan = list(with_faults(views(n), faults=faults, rng=np.random.default_rng(seed)))
    sent = [event.event_id for sending, event in plan if sending is Sending.EVENT]
    assert sorted(sent) == sorted(f"e{number}" for number in range(n))
    first_at = {event: at for at, event in reversed(list(enumerate(event.event_id for _, event in plan)))}
    for at, (sending, event) in enumerate(plan):
        assert (first_at[event.event_id] == at) == (sending is Sending.EVENT)
    for at, event_id in enumerate(sent):
        assert abs(int(event_id[1:]) - at) <= late_by


def test_no_faults_leave_the_stream_alone() -> None:
    plan = list(with_faults(views(5), faults=Faults(), rng=np.random.default_rng(0)))
    assert plan == [(Sending.EVENT, event) for event in views(5)]


def test_shares_are_kept() -> None:
    faults = Faults(duplicates=0.2, disorder=0.1, poison=0.05)
    plan = list(with_faults(views(20_000), faults=faults, rng=np.random.default_rng(1)))
    counts = Counter(sending for sending, _ in plan)
    assert counts[Sending.DUPLICATE] == pytest.approx(4_000, rel=0.1)
    assert counts[Sending.POISON] == pytest.approx(1_000, rel=0.1)
    order = [event.occurred_at for sending, event in plan if sending is Sending.EVENT]
    late = sum(earlier > later for earlier, later in pairwise(order))
    assert 1_000 < late < 2_600


def test_the_same_seed_gives_the_same_plan() -> None:
    faults = Faults(duplicates=0.5, disorder=0.5, poison=0.5)
    plans = [list(with_faults(views(50), faults=faults, rng=np.random.default_rng(7))) for _ in range(2)]
    assert plans[0] == plans[1]


def test_poison_is_always_refused_by_the_codec() -> None:
    rng = np.random.default_rng(3)
    ways: set[str] = set()
    for event in list(EVENTS.values()) * 40:
        raw = poisoned(event, rng=rng)
        topic = TOPIC_OF[str(type(event).__struct_config__.tag)]
        decoded = decode(raw, topic=topic, now_ms=event.occurred_at, key=event.user_id.encode())
        assert decoded.events == []
        ways.update(reject.error.reason for reject in decoded.rejects)
    assert len(ways) >= 4


@pytest.mark.parametrize(
    "field", [{"duplicates": -0.1}, {"poison": 1.5}, {"disorder": float("nan")}, {"late_by": 0}]
)
def test_wrong_shares_are_refused(field: dict[str, float]) -> None:
    with pytest.raises(BadLoadConfig, match="received"):
        Faults(**field)  # type: ignore[arg-type]
