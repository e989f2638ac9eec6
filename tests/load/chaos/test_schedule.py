"""The schedule of faults: the seed decides it, and every kind comes."""

import pytest

from load.chaos.schedule import WEIGHTS, FaultKind, schedule
from load.errors import BadLoadConfig


def test_seed_decides_the_whole_schedule() -> None:
    assert schedule(50, seed=4) == schedule(50, seed=4)
    assert schedule(50, seed=4) != schedule(50, seed=5)


def test_every_kind_comes_and_kills_come_more_often_than_sigterm() -> None:
    faults = schedule(200, seed=1)
    kinds = [fault.kind for fault in faults]
    assert set(kinds) == set(WEIGHTS)
    assert kinds.count(FaultKind.RECOMMENDER) > kinds.count(FaultKind.TERM_RECOMMENDER)
    assert {kind for fault in schedule(6, seed=9) for kind in [fault.kind]} == set(WEIGHTS)


def test_some_come_into_a_burst_some_in_a_hurry_and_the_last_is_waited_for() -> None:
    faults = schedule(200, seed=1)
    assert 60 < sum(fault.burst > 0 for fault in faults) < 140
    assert 15 < sum(fault.hurry for fault in faults) < 70
    assert not any(schedule(5, seed=seed)[-1].hurry for seed in range(30))


def test_broker_is_killed_only_where_it_is_asked_for() -> None:
    assert all(fault.kind is not FaultKind.BROKER for fault in schedule(100, seed=1))
    with_broker = schedule(60, seed=1, kinds=[*WEIGHTS, FaultKind.BROKER])
    assert sum(fault.kind is FaultKind.BROKER for fault in with_broker) > 3


@pytest.mark.parametrize(("n", "kinds"), [(0, tuple(WEIGHTS)), (3, ())])
def test_empty_schedule_is_refused(n: int, kinds: tuple[FaultKind, ...]) -> None:
    with pytest.raises(BadLoadConfig, match="at least one"):
        schedule(n, seed=1, kinds=kinds)
