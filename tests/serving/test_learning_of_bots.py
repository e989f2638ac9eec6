"""A producer's duplicates and a bot's flood change their users' states, and nothing that others get."""

from collections.abc import Sequence

import numpy as np

from events.types import AnyUserEvent
from index.sources.influence import Verdict
from serving.state_layout import EVENTS
from tests.serving.learners import Learnt, click, differences, make_learning, random_events, state_of

BOT = "bot"
BURST = 2_000  # the default budget


def learn(learnt: Learnt, events: Sequence[AnyUserEvent]) -> list[int]:
    verdicts: list[int] = []
    for event in events:
        verdicts += learnt.learning.take([event]).tolist()
        if learnt.learning.due:
            learnt.learning.train()
    return verdicts


def of_others(learnt: Learnt) -> dict[str, np.ndarray]:
    """Everything learnt but what remembers the bot's own events."""
    return {name: a for name, a in state_of(learnt).items() if not name.startswith("sources.influence.")}


def flood(n: int, *, first: int) -> list[AnyUserEvent]:
    """A thousand events a second on one item."""
    return [
        event.__class__(
            event_id=f"bot-{first + number}",
            occurred_at=1_700_000_000_000 + first + number,
            user_id=event.user_id,
            items=event.items,
        )
        for number, event in enumerate([click(BOT, "i1", number=0)] * n)
    ]


def mixed(events: Sequence[AnyUserEvent], bot: Sequence[AnyUserEvent]) -> list[AnyUserEvent]:
    """Some of the bot's events after each of the others."""
    each = len(bot) // len(events)
    whole: list[AnyUserEvent] = []
    for at, event in enumerate(events):
        whole += [event, *bot[at * each : (at + 1) * each]]
    return whole


def test_duplicates_leave_everything_as_it_is_without_them() -> None:
    events = random_events(250, users=12)
    clean, twice = make_learning(), make_learning()
    learn(clean, events)
    late = [
        event
        for at, event in enumerate(events)
        for event in ([event, events[at - 5]] if at >= 5 else [event])
    ]
    verdicts = learn(twice, late)
    assert verdicts.count(Verdict.DUPLICATE) == sum(bool(event.items) for event in events[:-5])
    assert twice.learning.units == clean.learning.units
    assert differences(of_others(clean), of_others(twice)) == []
    assert dict(clean.learning.states) == dict(twice.learning.states)
    assert clean.learning.report() == twice.learning.report()


def test_a_bot_beyond_its_budget_moves_no_weight_no_source_and_no_unit_of_others() -> None:
    others = random_events(250, users=12)
    short, long = make_learning(), make_learning()
    warmed = flood(BURST, first=0)
    for learnt in (short, long):
        assert set(learn(learnt, warmed)) == {Verdict.COUNTS}
        while learnt.learning._pending or learnt.learning._waiting:
            learnt.learning._predict_pending()
            learnt.learning.train()
    learn(short, others)
    verdicts = learn(long, mixed(others, flood(10_000, first=BURST)))
    assert verdicts.count(Verdict.NEWLY_OVER) == 1
    assert verdicts.count(Verdict.OVER_BUDGET) == 9_999
    assert differences(of_others(short), of_others(long)) == []
    assert short.learning.units == long.learning.units
    assert short.learning.report() == long.learning.report()
    ranked = [learnt.recommender.sources.popularity.best.tolist() for learnt in (short, long)]
    assert ranked[0] == ranked[1]
    states = [dict(learnt.learning.states) for learnt in (short, long)]
    assert states[0].pop(click(BOT, "i1", number=0).user_id) != states[1][click(BOT, "i1", number=0).user_id]
    own = np.frombuffer(states[1].pop(click(BOT, "i1", number=0).user_id), np.int64)
    assert own[EVENTS] == BURST + 10_000
    assert states[0] == states[1]
