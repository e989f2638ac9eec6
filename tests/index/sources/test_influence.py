"""What may move sources and model: no event twice, no user beyond a budget, and everybody else as if alone."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import SnapshotError
from index.sources.influence import ID_WAYS, Influence, InfluenceConfig, Verdict

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000
Event = tuple[int, int, int, int]  # user, id, time after START_MS, items

events = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 30),
        st.sampled_from([0, 1, 60_000, HOUR_MS, 3 * HOUR_MS, 30 * HOUR_MS]),
        st.integers(0, 4),
    ),
    max_size=60,
)


def judge(influence: Influence, log: list[Event]) -> list[int]:
    users, ids, times, items = (
        (np.array(part, np.int64) for part in zip(*log, strict=True)) if log else [np.zeros(0, np.int64)] * 4
    )
    return influence.judge(users=users, event_ids=ids, times_ms=times + START_MS, items=items).tolist()


def judged_plainly(log: list[Event], *, config: InfluenceConfig) -> list[int]:
    """The same rule with a real bucket and a real memory; nothing is forgotten."""
    taken: set[tuple[int, int]] = set()
    tokens: dict[int, float] = {}
    latest: dict[int, int] = {}
    told: set[int] = set()
    verdicts = []
    for user, event_id, at_ms, items in log:
        if items and (user, event_id) in taken:
            verdicts.append(Verdict.DUPLICATE)
            continue
        if items:
            taken.add((user, event_id))
        if user not in tokens:
            if not items:
                verdicts.append(Verdict.COUNTS)
                continue
            tokens[user], latest[user] = config.burst, at_ms
        now = max(latest[user], at_ms)
        back = (now - latest[user]) / HOUR_MS * config.per_hour
        tokens[user], latest[user] = min(config.burst, tokens[user] + back), now
        if tokens[user] > config.burst - 1e-9:
            told.discard(user)
        if tokens[user] + 1e-9 >= max(items, 1):
            tokens[user] -= items
            verdicts.append(Verdict.COUNTS)
        else:
            verdicts.append(Verdict.OVER_BUDGET if user in told else Verdict.NEWLY_OVER)
            told.add(user)
    return [int(verdict) for verdict in verdicts]


@given(log=events)
def test_the_kernel_judges_as_a_plain_bucket_and_a_plain_memory_do(log: list[Event]) -> None:
    config = InfluenceConfig(burst=6, per_hour=2)
    assert judge(Influence(config), log) == judged_plainly(log, config=config)


@given(log=events, cut=st.integers(0, 60))
def test_judging_in_parts_with_a_restart_between_is_the_same(log: list[Event], cut: int) -> None:
    config = InfluenceConfig(burst=6, per_hour=2)
    first, second = Influence(config), Influence(config)
    verdicts = judge(first, log[:cut])
    second.restore(first.snapshot())
    assert verdicts + judge(second, log[cut:]) == judge(Influence(config), log)


def test_a_bot_is_told_once_and_comes_back_with_time() -> None:
    influence = Influence(InfluenceConfig(burst=100, per_hour=10))
    flood = judge(influence, [(7, number, 0, 1) for number in range(1, 1_001)])
    assert flood.count(Verdict.COUNTS) == 100
    assert flood.count(Verdict.NEWLY_OVER) == 1
    later = judge(influence, [(7, 2_000 + number, 2 * HOUR_MS, 1) for number in range(30)])
    assert later.count(Verdict.COUNTS) == 20
    assert later.count(Verdict.NEWLY_OVER) == 0
    rested = judge(influence, [(7, 3_000 + number, 40 * HOUR_MS, 1) for number in range(150)])
    assert rested.count(Verdict.COUNTS) == 100
    assert rested.count(Verdict.NEWLY_OVER) == 1


def test_times_that_run_back_bring_no_budget_and_cost_none() -> None:
    influence = Influence(InfluenceConfig(burst=100, per_hour=10))
    assert judge(influence, [(7, 1, 50 * HOUR_MS, 60)]) == [Verdict.COUNTS]
    assert judge(influence, [(7, 2, 0, 40)]) == [Verdict.COUNTS]
    assert judge(influence, [(7, 3, HOUR_MS, 1)]) == [Verdict.NEWLY_OVER]


def test_what_has_no_items_is_free_until_the_bucket_is_empty() -> None:
    influence = Influence(InfluenceConfig(burst=5, per_hour=1))
    assert judge(influence, [(7, 1, 0, 0)] * 50) == [Verdict.COUNTS] * 50
    assert judge(influence, [(7, 2, 0, 5), (7, 3, 0, 0)]) == [Verdict.COUNTS, Verdict.NEWLY_OVER]


def test_the_same_event_id_of_another_user_is_another_event() -> None:
    assert judge(Influence(InfluenceConfig()), [(1, 9, 0, 1), (2, 9, 0, 1), (1, 9, 0, 1)]) == [
        Verdict.COUNTS,
        Verdict.COUNTS,
        Verdict.DUPLICATE,
    ]


def test_recent_ids_are_remembered_and_memory_does_not_grow_on_ten_times_as_many() -> None:
    config = InfluenceConfig(ids=4_096, users=256)
    influence = Influence(config)
    before = sum(array.nbytes for array in influence.snapshot().values())
    recent: deque[Event] = deque(maxlen=config.ids // 4)
    forgotten = 0
    for start in range(0, 10 * config.ids, 512):
        fresh = [(1 + number % 5_000, 1 + number, number, 1) for number in range(start, start + 512)]
        assert set(judge(influence, fresh)) == {Verdict.COUNTS}
        recent.extend(fresh)
        forgotten += judge(influence, list(recent)[:64]).count(Verdict.COUNTS)
    assert forgotten < 10 * config.ids // 512 * 64 * 0.01  # a set of 8 that got more than its share
    assert sum(array.nbytes for array in influence.snapshot().values()) == before


def test_a_bot_is_remembered_while_any_number_of_others_come_and_go() -> None:
    influence = Influence(InfluenceConfig(burst=10, per_hour=1, users=64))
    counted = 0
    for number in range(3_000):
        [bot, _] = judge(
            influence, [(1, 10_000_000 + number, number, 1), (2 + number, 1 + number, number, 1)]
        )
        counted += bot == Verdict.COUNTS
    assert counted == 10


@pytest.mark.parametrize(
    "wrong", [{"burst": 0}, {"per_hour": 0}, {"ids": 100}, {"users": 2}, {"ids": ID_WAYS // 2}]
)
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        InfluenceConfig(**wrong)


def test_a_snapshot_of_another_size_is_refused() -> None:
    small = Influence(InfluenceConfig(ids=1_024))
    with pytest.raises(SnapshotError, match="influence"):
        small.restore(Influence(InfluenceConfig()).snapshot())
