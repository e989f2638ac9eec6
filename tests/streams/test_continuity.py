"""One comparison tells whether the store still has what was taken."""

from serving.errors import StoreUnavailable
from streams.continuity import Continuity
from streams.log_reader import LogRecord
from streams.metrics import Metrics


def make() -> Continuity:
    return Continuity(metrics=Metrics(role="recommender"))


def record(topic: str, partition: int, offset: int) -> LogRecord:
    return LogRecord(topic, partition, offset, 1, b"u", b"{}")


def test_watermarks_that_reach_what_was_taken_lack_nothing() -> None:
    continuity = make()
    continuity.committed({("clicks", 0): 5, ("carts", 0): None})
    continuity.took([record("clicks", 0, 5), record("clicks", 1, 0)])
    assert continuity.check({0: {"clicks": 5}, 1: {"clicks": 9}}) == frozenset()


def test_watermark_below_what_the_group_committed_lacks_events_even_in_a_quiet_topic() -> None:
    continuity = make()
    continuity.committed({("clicks", 0): 6, ("carts", 0): 3, ("clicks", 1): 4})
    assert continuity.check({0: {"clicks": 5, "carts": 1}, 1: {"clicks": 3}}) == {0}
    assert continuity.check({0: {"clicks": 5, "carts": 1}}) == {0}  # until the replay has ended
    continuity.restored(0)
    assert continuity.whole_again() == {0}
    assert continuity.whole_again() == set()
    assert continuity.check({0: {"clicks": 5, "carts": 2}}) == frozenset()


def test_redelivery_and_a_later_assignment_never_move_it_back() -> None:
    continuity = make()
    continuity.took([record("clicks", 0, 7)])
    continuity.took([record("clicks", 0, 2)])
    continuity.committed({("clicks", 0): 3})
    assert continuity.taken(0) == {"clicks": 8}


def test_whom_it_owes_a_slate_is_bounded() -> None:
    continuity = make()
    for number in range(20_000):
        continuity.owe(0, {f"u{number}": number})
    continuity.owe(0, {"u1": 99_999})
    owed = continuity.owed(0)
    assert len(owed) == 10_000
    assert owed["u1"] == 99_999


def test_store_that_does_not_answer_is_away_until_it_does() -> None:
    continuity = make()
    with continuity.tolerating_absence():
        raise StoreUnavailable("no answer")
    assert continuity.away
    continuity.back()
    assert not continuity.away


def test_partition_that_moves_away_is_its_new_owners_to_look_at() -> None:
    continuity = make()
    continuity.committed({("clicks", 0): 6, ("clicks", 1): 6})
    continuity.check({0: {}, 1: {}})
    continuity.keep({1})
    assert continuity.lacking == {1}
