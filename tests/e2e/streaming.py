"""Events that keep coming while a test does something to the system, and what must be true afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from events.topics import USER_TOPICS
from streams.settings import Settings
from tests.storefront import Sent, Storefront, folded, stored, visits

_BURST = 20
_PAUSE_S = 0.03


@contextmanager
def shoppers(storefront: Storefront, *, users: int = 60, seed: int = 1) -> Iterator[list[Sent]]:
    """Visits go on until the end of the `with`; the list holds those that the broker has so far."""
    stop = threading.Event()
    sent: list[Sent] = []
    errors: list[BaseException] = []

    def shop() -> None:
        number = seed * 1_000_000
        try:
            while not stop.is_set():
                sent.extend(storefront.send(visits(_BURST, users=users, seed=number, first=number)))
                number += _BURST
                stop.wait(_PAUSE_S)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=shop, name="shoppers")
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def assert_exactly_once(storefront: Storefront, *, settings: Settings) -> None:
    """Redis has the very bytes that the log leaves when it is folded once, from its start to its end."""
    log = storefront.log(*USER_TOPICS)
    expected = folded(log, settings=settings)
    assert len(expected) > 0
    states, waiting, applied = stored(expected, settings=settings)
    assert {user for user, state in states.items() if state != expected[user]} == set()
    assert sum(waiting.values()) == 0
    ends: dict[int, dict[str, int]] = {}
    for record in log:
        ends.setdefault(record.partition, {})[record.topic] = record.offset
    assert {at: applied[at] for at in ends} == ends
