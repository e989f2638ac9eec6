"""A user's state as it lies in Redis, read by what the format says and not by the code that writes it.

Little-endian int64 words: a header of 16, then up to 16 ids of the last events, then slots of three words of the
session, then slots of five words of the items in the history (serving/state_layout.py).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_HEADER = 16
_SESSION_WORDS, _ITEM_WORDS = 3, 5
_COUNT_BITS = 24
_COUNT_MAX = (1 << _COUNT_BITS) - 1


@dataclass(frozen=True, slots=True)
class StoredState:
    """What the bytes say of the events that they include."""

    first_ms: int
    last_ms: int
    events: int
    purchases: int
    place: tuple[int, int, int]  # number of the topic, partition and offset of the last event applied
    remembered: int  # event ids ever put on the ring
    ids: frozenset[int]  # hashes of the last events' ids
    items: Mapping[int, tuple[int, int]]  # hash of the item -> views and purchases


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds of a deployment, raw."""

    states: Mapping[tuple[int, str], bytes]  # by partition and user id
    applied: Mapping[int, Mapping[str, int]]  # partition -> topic (without prefix) -> last offset applied
    waiting: Mapping[int, int]  # partition -> users whose slate waits


def read_state(raw: bytes) -> StoredState:
    """The state; ValueError where the words are not as many as its counts say."""
    words = struct.unpack(f"<{len(raw) // 8}q", raw[: len(raw) // 8 * 8])
    if len(raw) % 8 or len(words) < _HEADER:
        raise ValueError(f"{len(raw)} bytes; expected at least {_HEADER} whole words")
    kept = min(words[12], words[0] >> 32 & 0xFFFF)  # the format word says how many ids fit
    session_at = _HEADER + kept
    items_at = session_at + _SESSION_WORDS * words[10]
    end = items_at + _ITEM_WORDS * words[11]
    if len(words) != end:
        raise ValueError(f"{len(words)} words; by its counts it has {end}")
    slots = (words[at : at + _ITEM_WORDS] for at in range(items_at, end, _ITEM_WORDS))
    return StoredState(
        first_ms=words[2],
        last_ms=words[3],
        events=words[4],
        purchases=words[6],
        place=(words[13], words[14], words[15]),
        remembered=words[12],
        ids=frozenset(words[_HEADER:session_at]),
        items={slot[0]: (slot[3] & _COUNT_MAX, slot[3] >> _COUNT_BITS & _COUNT_MAX) for slot in slots},
    )
