"""Records to events, for every reader of the shopper topics alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from events.codec import Reject, decode
from events.topics import Topic
from events.types import AnyUserEvent
from streams.log_reader import LogRecord


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The good events of some records in log order, each with the record it came from, and the bad ones."""

    events: list[AnyUserEvent]
    records: list[LogRecord]
    rejects: list[tuple[LogRecord, Reject]]


def decode_records(records: Sequence[LogRecord], *, topics: Mapping[str, Topic], now_ms: int) -> Arrivals:
    """Every event of `records` in their order; what cannot be understood is set aside."""
    arrivals = Arrivals([], [], [])
    for record in records:
        decoded = decode(
            record.value, topic=topics[record.topic], now_ms=now_ms, key=record.key, headers=record.headers
        )
        arrivals.events.extend(decoded.events)
        arrivals.records.extend([record] * len(decoded.events))
        arrivals.rejects.extend((record, reject) for reject in decoded.rejects)
    return arrivals
