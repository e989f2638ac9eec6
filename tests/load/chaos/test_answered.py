"""What came back of what was sent: who waits, and when a role is seen to live again."""

from types import SimpleNamespace

from load.chaos.answered import Answered, Ticket
from tests.load.chaos.logs import raw_log, slate
from tests.storefront import view

EVENTS = [view("ann", "kettle", number=1), view("ann", "lamp", number=2)]
PLACES = [record.place for record in raw_log(EVENTS)]
AT = f"clicks-{PLACES[0].partition}"


def record(value: bytes = b"", *, key: bytes = b"", **headers: bytes) -> SimpleNamespace:
    named = [(name.replace("_", "-"), raw) for name, raw in headers.items()]
    return SimpleNamespace(value=value, key=key, headers=named)


def test_event_waits_until_a_slate_has_seen_it() -> None:
    answered = Answered(prefix="chaos-")
    answered.event_sent()
    assert answered.events_waiting == 1
    answered.event_delivered(Ticket("ann", 1.0), AT, 1)
    answered.heard("recommendations", record(slate(EVENTS[0], PLACES[0])), 2.0)
    assert answered.events_waiting == 1
    answered.heard("recommendations", record(slate(EVENTS[1], PLACES[1])), 3.0)
    assert answered.events_waiting == 0


def test_slate_may_come_before_the_delivery_report() -> None:
    answered = Answered(prefix="chaos-")
    answered.event_sent()
    answered.heard("recommendations", record(slate(EVENTS[1], PLACES[1])), 3.0)
    answered.event_delivered(Ticket("ann", 1.0), AT, 1)
    assert answered.events_waiting == 0


def test_only_answers_to_what_was_sent_after_the_mark_count() -> None:
    answered = Answered(prefix="chaos-")
    for sent_s, place in zip((1.0, 5.0), PLACES, strict=True):
        answered.event_sent()
        answered.event_delivered(Ticket("ann", sent_s), AT, place.offset)
    answered.mark(4.0)
    answered.heard("recommendations", record(slate(EVENTS[0], PLACES[0])), 6.0)
    assert answered.answered_s("recommender") is None
    answered.heard("recommendations", record(slate(EVENTS[1], PLACES[1])), 7.0)
    assert answered.answered_s("recommender") == 7.0


def test_learner_answers_by_a_new_version_and_the_encoder_by_a_new_vector() -> None:
    answered = Answered(prefix="chaos-")
    answered.heard("adapters", record(hw_serving=b'{"version": 4}'), 1.0)
    answered.item_sent("old", 1.0)
    assert answered.mark(2.0) == 4
    answered.item_sent("new", 3.0)
    answered.heard("adapters", record(hw_serving=b'{"version": 4}'), 4.0)
    answered.heard("item-vectors", record(key=b"old"), 4.0)
    assert (answered.answered_s("learner"), answered.answered_s("encoder")) == (None, None)
    answered.heard("adapters", record(hw_serving=b'{"version": 5}'), 5.0)
    answered.heard("item-vectors", record(key=b"new"), 6.0)
    assert (answered.answered_s("learner"), answered.answered_s("encoder")) == (5.0, 6.0)
    assert answered.items_waiting == 0
