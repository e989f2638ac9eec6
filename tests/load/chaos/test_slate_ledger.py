"""The ledger of slates: who was not answered, whose slate is not what its id says, which id stands for two."""

import pytest

from events.types import AnyUserEvent
from load.chaos.findings import Verdict, Wrong
from load.chaos.slate_ledger import slate_verdict
from tests.load.chaos.logs import raw_log, recommendations, slate, source
from tests.storefront import purchase, view

EVENTS: list[AnyUserEvent] = [view("ann", "kettle", number=1), view("ann", "lamp", number=2)]
LOG = raw_log(EVENTS)
PLACES = [record.place for record in LOG]
AT = PLACES[0].partition


def judged(*values: bytes) -> Verdict:
    return slate_verdict(source(EVENTS), recommendations([(AT, raw) for raw in values]), prefix="chaos-")


def test_one_slate_answers_all_events_that_it_has_seen() -> None:
    verdict = judged(slate(EVENTS[1], PLACES[1]))
    assert verdict.clean, str(verdict.first)
    assert verdict.checked["events due a slate"] == 2


def test_event_that_no_slate_has_seen_is_lost() -> None:
    verdict = judged(slate(EVENTS[0], PLACES[0]))
    assert verdict.count(Wrong.LOST) == 1
    assert verdict.first is not None
    assert verdict.first.place == PLACES[1]
    assert judged().count(Wrong.LOST) == 2


def test_slate_made_again_is_right_with_the_same_id_and_with_a_newer_model() -> None:
    answer = slate(EVENTS[1], PLACES[1])
    verdict = judged(answer, answer, slate(EVENTS[1], PLACES[1], model=4))
    assert verdict.clean, str(verdict.first)
    assert verdict.checked["slates made again"] == 1


def test_slate_of_a_state_that_lacks_an_event_diverges() -> None:
    stale = slate(EVENTS[0], PLACES[0]).replace(b'"chaos-clicks-%d":0' % AT, b'"chaos-clicks-%d":1' % AT)
    verdict = judged(slate(EVENTS[1], PLACES[1]), stale)
    assert verdict.count(Wrong.DIVERGED) == 1


def test_one_id_for_slates_of_two_arms_diverges() -> None:
    verdict = judged(slate(EVENTS[1], PLACES[1]), slate(EVENTS[1], PLACES[1], arm="other"))
    assert verdict.count(Wrong.DIVERGED) == 1


@pytest.mark.parametrize("raw", [b"{", b"{}"])
def test_record_that_is_no_slate_diverges(raw: bytes) -> None:
    assert judged(slate(EVENTS[1], PLACES[1]), raw).count(Wrong.DIVERGED) == 1


def test_user_on_two_topics_is_answered_on_both() -> None:
    both: list[AnyUserEvent] = [view("ann", "kettle", number=1), purchase("ann", "kettle", number=2)]
    places = [record.place for record in raw_log(both)]
    last = recommendations([(AT, slate(both[0], places[0], purchases=0))])
    assert slate_verdict(source(both), last, prefix="chaos-").clean
    half = recommendations([(AT, slate(both[0], places[0]))])
    verdict = slate_verdict(source(both), half, prefix="chaos-")
    assert [one.place for one in verdict.findings] == [places[1]]
