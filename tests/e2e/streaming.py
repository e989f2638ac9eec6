"""Events that keep coming while a test does something to the system, and what must be true afterwards."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from events.ids import stable_hash
from events.topics import USER_TOPICS
from serving.state import StateCodec
from serving.state_layout import EVENTS, OFFSET, TOPIC
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
    differing = {user for user, state in states.items() if state != expected[user]}
    assert not differing, _told(differing, stored=states, log=expected)
    assert sum(waiting.values()) == 0
    ends: dict[int, dict[str, int]] = {}
    for record in log:
        ends.setdefault(record.partition, {})[record.topic] = record.offset
    assert {at: applied[at] for at in ends} == ends


def _told(users: Iterable[tuple[int, str]], **states: Mapping[tuple[int, str], bytes | None]) -> str:
    """What each of the states says of these users: how many events, and the place of the last."""
    codec = StateCodec()
    lines = []
    for at, user in sorted(users):
        for name, of_users in states.items():
            (row,) = codec.unpack([of_users[at, user]], users=np.array([stable_hash(user)]))
            lines.append(f"{user} {name}: {row[EVENTS]} events, last {row[TOPIC : OFFSET + 1].tolist()}")
    return "\n".join(lines)
