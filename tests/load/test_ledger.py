"""Ledger: which events were answered, when, and which are lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from load.latency import Percentiles
from load.ledger import Ledger

MS = 1_000_000
S = 1_000 * MS


def send(
    ledger: Ledger, user: str, *, due_ms: int, offset: int | None = None, position: str = "clicks-0"
) -> None:
    ledger.sent(user, due_ns=due_ms * MS, awaited=True)
    if offset is not None:
        ledger.delivered(user, due_ns=due_ms * MS, awaited=True, position=position, offset=offset)


def recommend(ledger: Ledger, user: str, *, at_ms: int, rec_id: str = "", **seen: int) -> None:
    offsets = {position.replace("_", "-"): offset for position, offset in seen.items()}
    ledger.recommended(user, rec_id=rec_id or f"r{at_ms}", seen_offsets=offsets, arrived_ns=at_ms * MS)


def latencies(ledger: Ledger) -> Percentiles:
    return ledger.latencies.percentiles()


def test_latency_runs_from_the_due_time_to_the_first_recommendation_that_has_seen_the_event() -> None:
    ledger = Ledger()
    send(ledger, "u", due_ms=100, offset=7)
    recommend(ledger, "u", at_ms=120, clicks_0=6)
    recommend(ledger, "u", at_ms=150, clicks_0=7)
    recommend(ledger, "u", at_ms=200, clicks_0=9)
    assert latencies(ledger) == Percentiles(1, 50, 50, 50, 50)
    assert ledger.waiting == 0


def test_one_recommendation_answers_all_that_it_has_seen() -> None:
    ledger = Ledger()
    for number in range(3):
        send(ledger, "u", due_ms=10 * number, offset=number)
    send(ledger, "u", due_ms=30, offset=4, position="carts-0")
    recommend(ledger, "u", at_ms=100, clicks_0=1, carts_0=4)
    assert ledger.counts.answered == 3
    assert ledger.waiting == 1
    assert latencies(ledger).max == 100


def test_another_users_recommendation_answers_nothing() -> None:
    ledger = Ledger()
    send(ledger, "u", due_ms=0, offset=1)
    recommend(ledger, "v", at_ms=5, clicks_0=99)
    ledger.close()
    assert (ledger.counts.answered, ledger.counts.lost) == (0, 1)


def test_an_answer_that_overtakes_the_delivery_report_counts_from_its_arrival() -> None:
    ledger = Ledger()
    send(ledger, "u", due_ms=0)
    recommend(ledger, "u", at_ms=3, clicks_0=4)
    recommend(ledger, "u", at_ms=5, clicks_0=5)
    recommend(ledger, "u", at_ms=8, clicks_0=6)
    ledger.delivered("u", due_ns=0, awaited=True, position="clicks-0", offset=5)
    assert latencies(ledger) == Percentiles(1, 5, 5, 5, 5)


def test_what_is_never_answered_is_lost_and_what_was_never_delivered_is_not() -> None:
    ledger = Ledger()
    send(ledger, "u", due_ms=0, offset=1)
    send(ledger, "u", due_ms=1)
    ledger.undelivered("u", awaited=True)
    assert ledger.waiting == 1
    ledger.close()
    assert (ledger.counts.lost, ledger.counts.undelivered, ledger.counts.answered) == (1, 1, 0)
    assert ledger.waiting == 0


def test_events_that_need_no_answer_are_not_waited_for() -> None:
    ledger = Ledger()
    ledger.sent("u", due_ns=0, awaited=False)
    ledger.delivered("u", due_ns=0, awaited=False, position="impressions-0", offset=0)
    ledger.close()
    assert (ledger.counts.sent, ledger.counts.delivered, ledger.counts.awaited, ledger.counts.lost) == (
        1,
        1,
        0,
        0,
    )


def test_a_recommendation_id_that_comes_again_is_a_duplicate() -> None:
    ledger = Ledger(remembered=2)
    for rec_id in ("a", "b", "a", "c", "d", "a"):
        recommend(ledger, "u", at_ms=1, rec_id=rec_id)
    assert ledger.counts.recommendations == 6
    assert ledger.counts.duplicate_recommendations == 1  # the last "a" was forgotten: memory is bounded


def test_waiting_too_long_is_lost_and_a_later_answer_does_not_count() -> None:
    ledger = Ledger(give_up_s=10)
    send(ledger, "u", due_ms=0, offset=1)
    send(ledger, "u", due_ms=9_000, offset=2)
    ledger.sweep(now_ns=5 * S)
    assert ledger.counts.lost == 0
    ledger.sweep(now_ns=15 * S)
    assert ledger.counts.lost == 1
    recommend(ledger, "u", at_ms=16_000, clicks_0=2)
    assert (ledger.counts.answered, latencies(ledger).max) == (1, 7_000)


def test_answered_shoppers_leave_nothing_behind() -> None:
    ledger = Ledger()
    for number in range(1_000):
        user = f"u{number}"
        send(ledger, user, due_ms=number, offset=number)
        recommend(ledger, user, at_ms=number + 1, clicks_0=number)
        recommend(ledger, user, at_ms=number + 2, clicks_0=number)
    assert ledger._shoppers == {}


BOOLEAN: st.SearchStrategy[bool] = st.booleans()
STEPS = st.lists(st.tuples(st.sampled_from("uvw"), st.booleans()), max_size=40)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, data=st.data())
def test_the_books_balance_in_any_order_of_reports(
    steps: list[tuple[str, bool]], data: st.DataObject
) -> None:
    """Whatever the order of delivery reports and answers: awaited = answered + lost + undelivered."""
    ledger = Ledger()
    unreported: list[tuple[str, int]] = []
    for number, (user, answer) in enumerate(steps):
        send(ledger, user, due_ms=number)
        unreported.append((user, number))
        if answer:
            recommend(ledger, user, at_ms=number, clicks_0=data.draw(st.integers(-1, number)))
        if data.draw(BOOLEAN) and unreported:
            reported, offset = unreported.pop(data.draw(st.integers(0, len(unreported) - 1)))
            if data.draw(BOOLEAN):
                ledger.delivered(
                    reported, due_ns=offset * MS, awaited=True, position="clicks-0", offset=offset
                )
            else:
                ledger.undelivered(reported, awaited=True)
    for user, _ in unreported:
        ledger.undelivered(user, awaited=True)
    ledger.close()
    counts = ledger.counts
    assert counts.awaited == len(steps) == counts.answered + counts.lost + counts.undelivered
    assert latencies(ledger).n == counts.answered
    assert ledger.waiting == 0
