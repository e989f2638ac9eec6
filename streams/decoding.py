"""Records to events, for every reader of the shopper topics alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.codec import Reject, decode
from events.pseudonyms import Pseudonyms
from events.topics import Topic
from events.types import AnyUserEvent
from streams.log_reader import LogRecord


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The n good events of some records in log order, which record each came from, and the bad ones."""

    events: list[AnyUserEvent]
    origins: NDArray[np.int64]  # (n,) index of its record among those decoded
    rejects: list[tuple[LogRecord, Reject]]


def decode_records(
    records: Sequence[LogRecord],
    *,
    topics: Mapping[str, Topic],
    now_ms: int,
    pseudonyms: Pseudonyms | None = None,
) -> Arrivals:
    """Every event of `records` in their order; what cannot be understood is set aside.

    With `pseudonyms` the events name those in place of their shoppers.
    """
    events: list[AnyUserEvent] = []
    rejects: list[tuple[LogRecord, Reject]] = []
    counts = np.empty(len(records), np.int64)
    for at, record in enumerate(records):
        decoded = decode(
            record.value, topic=topics[record.topic], now_ms=now_ms, key=record.key, headers=record.headers
        )
        events += decoded.events
        counts[at] = len(decoded.events)
        if decoded.rejects:
            rejects += [(record, reject) for reject in decoded.rejects]
    if pseudonyms is not None:
        pseudonyms.rename(events)
    return Arrivals(events, np.repeat(np.arange(len(records)), counts), rejects)
