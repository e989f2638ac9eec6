"""After a drift: do a shopper's latest items alone serve, or all of them? On streams where the answer is known."""

import msgspec
import numpy as np

from events.types import AnyUserEvent
from models.drift import Drift
from tests.serving.learners import Learnt, click, learn, make_learning

USERS, ITEMS = 24, 60


def habits(n: int, *, seed: int, start: int = 0, moved_at: int | None = None) -> list[AnyUserEvent]:
    """Every shopper goes round six items of their own; from event `moved_at` on, round six others."""
    rng = np.random.default_rng(seed)
    made: list[AnyUserEvent] = []
    for number in range(start, start + n):
        user = int(rng.integers(USERS))
        own = (6 * user + (0 if moved_at is None or number < moved_at else ITEMS // 2)) % ITEMS
        made.append(click(f"u{user}", f"i{(own + int(rng.integers(6))) % ITEMS}", number=number))
    return made


def responding(learnt: Learnt) -> Drift:
    """Its drift, just detected."""
    drift = learnt.learner.drift
    assert drift is not None
    drift.observe(np.zeros(1_024))
    assert drift.observe(np.ones(96))
    return drift


def take(learnt: Learnt, events: list[AnyUserEvent]) -> list[int | None]:
    """What is remembered after each training step."""
    seen = []
    for event in events:
        if learn(learnt, [[event]]):
            seen.append(learnt.recommender.remembered)
    return seen


def test_without_a_drift_all_items_count_and_nothing_is_compared() -> None:
    learnt = make_learning()
    take(learnt, habits(400, seed=1))
    drift = learnt.learner.drift
    assert drift is not None
    assert (learnt.recommender.remembered, drift.memory.snapshot()["lead"]) == (None, 0.0)


def test_where_old_habits_go_on_the_latest_items_alone_are_given_up() -> None:
    learnt = make_learning()
    take(learnt, habits(600, seed=1))
    responding(learnt)
    seen = take(learnt, habits(400, seed=2, start=600))
    assert seen[0] is not None  # they are tried
    assert seen[-10:] == [None] * 10


def test_where_habits_have_moved_they_go_on_serving() -> None:
    learnt = make_learning()
    take(learnt, habits(600, seed=1))
    drift = responding(learnt)
    seen = take(learnt, habits(100, seed=2, start=600, moved_at=600))
    assert all(seen)
    assert drift.memory.snapshot()["lead"] > 0


def test_what_answers_a_slate_says_nothing() -> None:
    learnt = make_learning()
    take(learnt, habits(600, seed=1))
    drift = responding(learnt)
    answers = [msgspec.structs.replace(event, rec_id="r1") for event in habits(200, seed=2, start=600)]
    take(learnt, answers[:20])  # with what was waiting
    before = drift.memory.snapshot()["lead"]
    take(learnt, answers[20:])
    assert drift.memory.snapshot()["lead"] == before
