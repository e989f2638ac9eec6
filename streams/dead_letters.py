"""Dead letters: what could not be used, kept with its exact bytes, and sent again when the cause is gone.

A letter is a record on `dead-letters` whose key, value and headers are the original's, byte for byte, with
our own headers added: why it was set aside and where it came from. A redriven letter is marked by a further
record with the header `hw-redriven`, so that what has been sent again is known to whoever reads the topic.
One that is too large for the topic is cut (`letter_fit`), and cannot be sent again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import Producer

from events.codec import Reject
from events.topics import Topic
from streams.bounded_read import read_to_end
from streams.errors import PublishError
from streams.kafka_settings import KafkaSettings
from streams.letter_fit import CUT, PREFIX, fitted
from streams.log_reader import LogRecord
from streams.publisher import Record
from streams.topics import LETTER_MAX_BYTES, topic_name

Headers = tuple[tuple[str, bytes | None], ...]

REASON, DETAIL, EVENT_INDEX = "hw-reason", "hw-detail", "hw-event-index"
SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP_MS = (
    "hw-source-topic",
    "hw-source-partition",
    "hw-source-offset",
    "hw-source-timestamp-ms",
)
ATTEMPTS = "hw-attempts"  # how often the record has been redriven
REDRIVEN = "hw-redriven"  # marks a letter as redriven; the value is the letter's offset


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that was set aside."""

    reason: str  # a code of events.errors.Reason
    detail: str  # what was received and what was expected
    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp_ms: int  # when the broker or the producer stamped the original
    event_index: int  # of the bad event within an envelope; 0 for a single event
    key: bytes | None
    value: bytes | None
    headers: Headers = ()  # the original's
    attempts: int = 0
    offset: int = -1  # its own on dead-letters; -1 before it is written
    redriven: bool = False
    cut_from: int | None = None  # bytes of the original's value, where the letter has only the first of them

    @property
    def source(self) -> tuple[str, int, int, int]:
        """Topic, partition and offset of the original, and the event's place in it."""
        return (self.source_topic, self.source_partition, self.source_offset, self.event_index)


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What `redrive` did, or would do in a dry run: letters by what became of them."""

    sent: tuple[Letter, ...]
    already_redriven: int
    repeated: int  # letters that a crashed worker wrote again for the same event; sent once
    cut: int  # letters that are not whole, and cannot be sent
    dry_run: bool


def letter(record: LogRecord, reject: Reject, *, topic: str) -> Record:
    """What to publish on `topic` (dead-letters) for an event of `record` that was set aside.

    The bad event of an envelope is kept alone, with its own bytes and without the key (the envelope's):
    redriven, it goes to the same partition as an event by itself.
    """
    whole = reject.raw == (record.value or b"")
    kept = Letter(
        reason=reject.error.reason.value,
        detail=str(reject.error),
        source_topic=record.topic,
        source_partition=record.partition,
        source_offset=record.offset,
        source_timestamp_ms=record.timestamp_ms,
        event_index=reject.index,
        key=record.key if whole else None,
        value=record.value if whole else reject.raw,
        headers=_original(record.headers),
        attempts=attempts_of(record.headers),
    )
    return fitted(Record(topic=topic, key=kept.key, value=kept.value, headers=to_headers(kept)))


def to_headers(letter: Letter) -> Headers:
    """The headers of the letter's record: the original's, then ours.

    >>> letter = Letter("not-json", "received {", "clicks", 3, 41, 1700000000000, 0, b"u1", b"{")
    >>> dict(to_headers(letter))["hw-source-offset"]
    b'41'
    """
    own = {
        REASON: letter.reason,
        DETAIL: letter.detail,
        SOURCE_TOPIC: letter.source_topic,
        SOURCE_PARTITION: str(letter.source_partition),
        SOURCE_OFFSET: str(letter.source_offset),
        SOURCE_TIMESTAMP_MS: str(letter.source_timestamp_ms),
        EVENT_INDEX: str(letter.event_index),
        ATTEMPTS: str(letter.attempts),
    }
    return _original(letter.headers) + tuple((name, text.encode()) for name, text in own.items())


def attempts_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """How often a record with these headers has been redriven; 0 for one that never was a letter."""
    return _number(dict(headers).get(ATTEMPTS, b"0"))


def list_letters(
    kafka: KafkaSettings, *, limit: int | None = None, reason: str | None = None, timeout_s: float = 30.0
) -> list[Letter]:
    """The letters, oldest first: the latest `limit` of those with `reason`, or all of them.

    Raises ReadError if the topic is missing or cannot be read to its end in time, BrokerUnreachable.
    """
    letters: dict[int, Letter] = {}
    for record in read_to_end(
        kafka, topics=[topic_name(Topic.DEAD_LETTERS, kafka=kafka)], timeout_s=timeout_s
    ):
        marked = dict(record.headers).get(REDRIVEN)
        if marked is None:
            letters[record.offset] = _from_record(record)
        elif (offset := _number(marked)) in letters:
            letters[offset] = replace(letters[offset], redriven=True)
    chosen = [letter for letter in letters.values() if reason is None or letter.reason == reason]
    return chosen if limit is None else chosen[len(chosen) - min(limit, len(chosen)) :]


def redrive(
    kafka: KafkaSettings,
    *,
    reason: str | None = None,
    limit: int | None = None,
    again: bool = False,
    dry_run: bool = False,
) -> RedriveReport:
    """Send the originals of the oldest `limit` letters (with `reason`) to the partitions they came from.

    Key, value and headers are the original's. A letter already redriven is left out unless `again`; an event
    with several letters is sent once. A letter is marked only after the broker has its original: a crash in
    between sends it twice, and the duplicate is dropped by its event_id. Raises PublishError if the broker
    refuses a record; what did arrive is marked.
    """
    found = list_letters(kafka, reason=reason)
    letters = [letter for letter in found if letter.cut_from is None]
    waiting = [letter for letter in letters if again or not letter.redriven]
    distinct = list({letter.source: letter for letter in waiting}.values())[:limit]
    sources = {letter.source for letter in distinct}
    marked = [letter for letter in waiting if letter.source in sources]
    report = RedriveReport(
        sent=tuple(distinct),
        already_redriven=len(letters) - len(waiting),
        repeated=len(marked) - len(distinct),
        cut=len(found) - len(letters),
        dry_run=dry_run,
    )
    if distinct and not dry_run:
        _send(kafka, letters=distinct, marked=marked)
    return report


def _send(kafka: KafkaSettings, *, letters: Sequence[Letter], marked: Sequence[Letter]) -> None:
    producer = Producer(
        {**kafka.confluent(), "acks": "all", "message.max.bytes": LETTER_MAX_BYTES}
    )  # kafka-python cannot send a null key and value
    sent: set[tuple[str, int, int, int]] = set()
    failures: dict[str, str] = {}
    for letter in letters:
        _produce(producer, kafka=kafka, record=_again(letter), on_delivery=_report(letter, sent, failures))
    producer.flush(kafka.request_timeout_s)
    mark_topic = topic_name(Topic.DEAD_LETTERS, kafka=kafka)
    for letter in marked:
        if letter.source in sent:
            mark = {"topic": mark_topic, "value": b"", "headers": [(REDRIVEN, str(letter.offset).encode())]}
            _produce(producer, kafka=kafka, record=mark, on_delivery=_report(letter, set(), failures))
    if unsent := producer.flush(kafka.request_timeout_s):
        raise PublishError(topic=mark_topic, cause=f"{unsent} records still unsent")
    for topic, cause in failures.items():
        raise PublishError(topic=topic, cause=cause)


def _again(letter: Letter) -> dict[str, Any]:
    return {
        "topic": letter.source_topic,
        "partition": letter.source_partition,
        "key": letter.key,
        "value": letter.value,
        "headers": [*letter.headers, (ATTEMPTS, str(letter.attempts + 1).encode())],
    }


def _produce(producer: Any, *, kafka: KafkaSettings, record: dict[str, Any], on_delivery: Any) -> None:
    while True:
        try:
            producer.produce(**record, on_delivery=on_delivery)
            return
        except BufferError:  # the local queue is full: wait until the broker has taken some of it
            producer.poll(kafka.request_timeout_s)


def _report(letter: Letter, sent: set[tuple[str, int, int, int]], failures: dict[str, str]) -> Any:
    def delivered(error: object, message: Any) -> None:
        if error is None:
            sent.add(letter.source)
        else:
            failures[message.topic()] = str(error)

    return delivered


def _from_record(record: Any) -> Letter:
    headers: dict[str, bytes | None] = dict(record.headers)
    cut = headers.get(CUT)
    return Letter(
        reason=_text(headers.get(REASON, b"unknown")),
        detail=_text(headers.get(DETAIL, b"")),
        source_topic=_text(headers.get(SOURCE_TOPIC, b"")),
        source_partition=_number(headers.get(SOURCE_PARTITION, b"-1")),
        source_offset=_number(headers.get(SOURCE_OFFSET, b"-1")),
        source_timestamp_ms=_number(headers.get(SOURCE_TIMESTAMP_MS, b"-1")),
        event_index=_number(headers.get(EVENT_INDEX, b"0")),
        key=record.key,
        value=record.value,
        headers=_original(record.headers),
        attempts=_number(headers.get(ATTEMPTS, b"0")),
        offset=record.offset,
        cut_from=None if cut is None else _number(cut),
    )


def _original(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    return tuple((name, value) for name, value in headers if not name.startswith(PREFIX))


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")


def _number(raw: bytes | None) -> int:
    try:
        return int(raw or b"")
    except ValueError:
        return -1
