"""The ledger of states: silent about a faultless fold, and right about what a faulty one did."""

import struct
from dataclasses import replace

import pytest
from msgspec.structs import replace as replaced

from events.types import AnyUserEvent, Item, Refund
from load.chaos.findings import Verdict, Wrong
from load.chaos.state_ledger import state_verdict
from load.chaos.stored_state import Stored, read_state
from tests.load.chaos.logs import raw_log, source, stored
from tests.storefront import cart, purchase, view, visits

EVENTS: list[AnyUserEvent] = [
    purchase("ann", "kettle", "teapot", number=1),
    view("ann", "lamp", number=2),
    view("bob", "lamp", number=3),
    cart("bob", "lamp", number=4),
    purchase("bob", "lamp", number=5),
    Refund(event_id="r", user_id="bob", occurred_at=1_800_000_000_000, items=(Item(item_id="lamp"),)),  # type: ignore[arg-type]
    view("cem", "kettle", number=7),
]


def judged(seen: list[AnyUserEvent], log: list[AnyUserEvent] = EVENTS) -> Verdict:
    """The verdict where the log holds `log` and the states hold `seen`."""
    return state_verdict(source(log), stored(raw_log(log), seen))


def test_states_of_a_faultless_fold_are_found_right() -> None:
    many = visits(3_000, users=40)
    for log in (EVENTS, many):
        verdict = judged(log, log)
        assert verdict.clean, str(verdict.first)
        assert verdict.checked["events"] > 0
    assert judged(many, many).checked["events"] == 3_000  # every tenth comes twice and counts once


def test_event_that_was_left_out_is_lost_and_named() -> None:
    many = visits(400, users=5)
    left_out = many[200]
    verdict = judged([event for event in many if event.event_id != left_out.event_id], many)
    assert [verdict.count(wrong) for wrong in Wrong] == [1, 0, 0]
    assert verdict.first is not None
    assert any("event-" in line for line in verdict.first.history)


def test_event_that_counts_twice_is_found() -> None:
    again = replace_id(EVENTS[2], "another")
    twice = stored(raw_log([*EVENTS, again]), [*EVENTS, again])
    verdict = state_verdict(source(EVENTS), replace(twice, applied=stored(raw_log(EVENTS), EVENTS).applied))
    assert [verdict.count(wrong) for wrong in Wrong] == [0, 1, 0]
    assert verdict.first is not None
    assert verdict.first.place.topic in ("clicks", "purchases", "carts")


def test_user_without_a_state_is_lost_whole() -> None:
    whole = stored(raw_log(EVENTS), EVENTS)
    states = {at: raw for at, raw in whole.states.items() if at[1] != "bob"}
    verdict = state_verdict(source(EVENTS), replace(whole, states=states))
    assert verdict.count(Wrong.LOST) == 4


@pytest.mark.parametrize("word", [2, 3, 6, 12, 13, 15, -1, -2])
def test_any_word_that_is_not_by_the_log_diverges(word: int) -> None:
    whole = stored(raw_log(EVENTS), EVENTS)
    at = next(at for at in whole.states if at[1] == "ann")
    words = list(struct.unpack(f"<{len(whole.states[at]) // 8}q", whole.states[at]))
    words[word] += 1
    changed = struct.pack(f"<{len(words)}q", *words)
    verdict = state_verdict(source(EVENTS), replace(whole, states={**whole.states, at: changed}))
    # of a history slot's last words, the decayed frequency depends on no count and is not judged
    assert verdict.count(Wrong.DIVERGED) == (0 if word == -1 else 1)


def test_watermark_behind_the_log_and_waiting_users_are_lost() -> None:
    whole = stored(raw_log(EVENTS), EVENTS)
    applied = {
        at: {**marks, "clicks": marks["clicks"] - 1}
        for at, marks in whole.applied.items()
        if "clicks" in marks
    }
    verdict = state_verdict(
        source(EVENTS), replace(whole, applied={**whole.applied, **applied}, waiting={0: 2})
    )
    assert verdict.count(Wrong.LOST) == len(applied) + 2


def test_state_of_nobody_diverges() -> None:
    whole = stored(raw_log(EVENTS), EVENTS)
    ghost: Stored = replace(whole, states={**whole.states, (0, "ghost"): b""})
    assert state_verdict(source(EVENTS), ghost).count(Wrong.DIVERGED) == 1


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(ValueError, match="whole words"):
        read_state(b"1234567")
    raw = next(iter(stored(raw_log(EVENTS), EVENTS).states.values()))
    with pytest.raises(ValueError, match="by its counts"):
        read_state(raw + b"\0" * 8)


def replace_id(event: AnyUserEvent, event_id: str) -> AnyUserEvent:
    return replaced(event, event_id=event_id)
