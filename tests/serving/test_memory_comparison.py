"""After a drift: do a shopper's latest items alone serve, or all of them? On streams where the answer is known."""

import msgspec
import numpy as np

from events.types import AnyUserEvent
from models.drift import Drift
from tests.serving.learners import Learnt, click, learn, make_learning

USERS, ITEMS, OWN = 16, 100, 14


def habits(n: int, *, seed: int, start: int = 0, moved: bool = False) -> list[AnyUserEvent]:
    """Every shopper goes round items of their own, drawn from all; `moved`: round others."""
    rng = np.random.default_rng(seed)
    own = [np.random.default_rng([user, moved]).choice(ITEMS, OWN, replace=False) for user in range(USERS)]
    made: list[AnyUserEvent] = []
    for number in range(start, start + n):
        user = int(rng.integers(USERS))
        made.append(click(f"u{user}", f"i{rng.choice(own[user])}", number=number))
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
    drift = responding(learnt)
    seen = take(learnt, habits(400, seed=2, start=600))
    assert seen[0] is not None  # they are tried
    assert seen[-10:] == [None] * 10
    lead = drift.memory.snapshot()["lead"]
    take(learnt, habits(100, seed=3, start=1_000))
    assert drift.memory.snapshot()["lead"] == lead  # nothing is ranked twice any more


def test_where_habits_have_moved_they_go_on_serving() -> None:
    learnt = make_learning()
    take(learnt, habits(600, seed=1))
    drift = responding(learnt)
    seen = take(learnt, habits(100, seed=2, start=600, moved=True))
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
