"""Envelopes: many events of one partition in one record, none held back for long."""

from events.codec import decode, encode, encode_envelope
from events.examples import EVENTS
from events.topics import Topic
from load.envelopes import Envelope, Envelopes


def add(
    envelopes: Envelopes[int], raw: bytes, *, partition: int = 0, ticket: int = 0, now_ns: int = 0
) -> list[int]:
    """The tickets of the envelopes that became full, flat."""
    full = envelopes.add(raw, topic="clicks", partition=partition, key=b"u", ticket=ticket, now_ns=now_ns)
    return [ticket for envelope in full for ticket in envelope.tickets]


def test_an_envelope_is_full_at_its_size_and_partitions_stay_apart() -> None:
    envelopes: Envelopes[int] = Envelopes(size=2, wait_ns=10)
    assert add(envelopes, b"{}", partition=0, ticket=1) == []
    assert add(envelopes, b"{}", partition=1, ticket=2) == []
    assert add(envelopes, b"{}", partition=1, ticket=3) == [2, 3]
    assert [envelope.tickets for envelope in envelopes.rest()] == [[1]]
    assert list(envelopes.rest()) == []


def test_the_oldest_event_decides_when_an_envelope_is_due() -> None:
    envelopes: Envelopes[int] = Envelopes(size=99, wait_ns=10)
    assert envelopes.due_in_ns(now_ns=0) > 10**18
    add(envelopes, b"{}", ticket=1, now_ns=100)
    add(envelopes, b"{}", ticket=2, now_ns=109)
    assert envelopes.due_in_ns(now_ns=104) == 6
    assert list(envelopes.due(now_ns=109)) == []
    assert [envelope.tickets for envelope in envelopes.due(now_ns=110)] == [[1, 2]]


def test_no_record_grows_beyond_what_a_broker_takes() -> None:
    envelopes: Envelopes[int] = Envelopes(size=1_000, wait_ns=10)
    records: list[Envelope[int]] = []
    for ticket in range(30):
        records += envelopes.add(
            b"x" * 100_000, topic="clicks", partition=0, key=b"u", ticket=ticket, now_ns=0
        )
    records += envelopes.rest()
    assert [ticket for envelope in records for ticket in envelope.tickets] == list(range(30))
    assert all(len(envelope.record()) < 1_000_000 for envelope in records)


def test_the_record_is_what_the_codec_would_write() -> None:
    events = [EVENTS["select_item"], EVENTS["view_item"]]
    envelope: Envelope[int] = Envelope("clicks", 0, b"u", 0, [encode(event) for event in events])
    assert envelope.record() == encode_envelope(events)
    now_ms = max(event.occurred_at for event in events)
    assert decode(envelope.record(), topic=Topic.CLICKS, now_ms=now_ms).events == events
