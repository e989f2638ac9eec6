import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from events.codec import Reject, decode
from events.errors import BadEvent, Reason
from events.topics import Topic
from streams import topics
from streams.bounded_read import BoundedReader, read_to_end
from streams.dead_letters import ATTEMPTS, Letter, attempts_of, letter, list_letters, redrive, to_headers
from streams.errors import PublishError, ReadError
from streams.letter_fit import shorter
from streams.log_reader import LogRecord
from streams.publisher import Publisher, Record
from streams.settings import KafkaSettings

NOW_MS = 1_700_000_000_000


def _letter(
    kafka: KafkaSettings, *, offset: int, value: bytes | None, partition: int = 3, **fields: Any
) -> Letter:
    given: dict[str, Any] = {"reason": "not-json", "event_index": 0, "key": b"u1"} | fields
    return Letter(
        detail="received {, expected JSON",
        source_topic=topics.topic_name(Topic.CLICKS, kafka=kafka),
        source_partition=partition,
        source_offset=offset,
        source_timestamp_ms=NOW_MS,
        value=value,
        **given,
    )


def _write(kafka: KafkaSettings, letters: Sequence[Letter]) -> None:
    _produce(
        kafka,
        [
            Record(
                topics.topic_name(Topic.DEAD_LETTERS, kafka=kafka),
                item.key,
                item.value,
                None,
                to_headers(item),
            )
            for item in letters
        ],
    )


def _produce(kafka: KafkaSettings, records: Sequence[Record]) -> None:
    producer = Producer({**kafka.confluent(), "log_level": 0})
    for record in records:
        producer.produce(record.topic, key=record.key, value=record.value, headers=list(record.headers))
    assert producer.flush(20) == 0


def _clicks(kafka: KafkaSettings) -> list[Any]:
    records = read_to_end(kafka, topics=[topics.topic_name(Topic.CLICKS, kafka=kafka)])
    return sorted(records, key=lambda record: (record.partition, record.offset))


@pytest.fixture
def ready(kafka: KafkaSettings) -> KafkaSettings:
    topics.ensure(kafka)
    return kafka


def test_letters_come_back_byte_for_byte(ready: KafkaSettings) -> None:
    written = [
        _letter(ready, offset=1, value=b"\xff\x00{not json", headers=(("ce_id", b"\x00\xfe"),)),
        _letter(ready, offset=2, value=None, key=None, reason="empty"),
        _letter(ready, offset=3, value=b"", key=b""),
    ]
    _write(ready, written)
    assert [replace(item, offset=-1) for item in list_letters(ready)] == written


def test_empty_topic_has_no_letters(ready: KafkaSettings) -> None:
    assert list_letters(ready) == []


def test_latest_letters_of_one_reason_are_listed(ready: KafkaSettings) -> None:
    reasons = ["not-json", "bad-id", "not-json", "not-json"]
    _write(ready, [_letter(ready, offset=n, value=b"x", reason=r) for n, r in enumerate(reasons)])
    assert [item.source_offset for item in list_letters(ready, reason="not-json", limit=2)] == [2, 3]
    assert list_letters(ready, limit=0) == []


def test_redriven_letters_reach_their_partition_with_key_and_headers(ready: KafkaSettings) -> None:
    _write(ready, [_letter(ready, offset=1, value=b"\xffone", headers=(("ce_id", b"7"),))])
    _write(ready, [_letter(ready, offset=9, value=None, key=None, partition=1)])
    assert len(redrive(ready).sent) == 2
    assert [(r.partition, r.key, r.value, dict(r.headers)) for r in _clicks(ready)] == [
        (1, None, None, {ATTEMPTS: b"1"}),
        (3, b"u1", b"\xffone", {"ce_id": b"7", ATTEMPTS: b"1"}),
    ]


def test_letter_is_redriven_once_unless_asked_again(ready: KafkaSettings) -> None:
    _write(ready, [_letter(ready, offset=1, value=b"one")])
    assert len(redrive(ready).sent) == 1
    assert [item.redriven for item in list_letters(ready)] == [True]
    second = redrive(ready)
    assert (second.sent, second.already_redriven) == ((), 1)
    assert len(redrive(ready, again=True).sent) == 1
    assert len(_clicks(ready)) == 2


def test_letter_written_twice_by_a_crashed_worker_is_sent_once(ready: KafkaSettings) -> None:
    twice = _letter(ready, offset=1, value=b"one")
    _write(ready, [twice, twice, _letter(ready, offset=1, value=b"two", event_index=4)])
    report = redrive(ready)
    assert (len(report.sent), report.repeated) == (2, 1)
    assert [item.redriven for item in list_letters(ready)] == [True, True, True]
    assert [record.value for record in _clicks(ready)] == [b"one", b"two"]


def test_dry_run_sends_nothing_and_marks_nothing(ready: KafkaSettings) -> None:
    _write(ready, [_letter(ready, offset=n, value=b"x") for n in range(3)])
    report = redrive(ready, limit=2, dry_run=True)
    assert [item.source_offset for item in report.sent] == [0, 1]
    assert report.dry_run
    assert _clicks(ready) == []
    assert not any(item.redriven for item in list_letters(ready))


def test_only_the_chosen_reason_is_redriven(ready: KafkaSettings) -> None:
    _write(
        ready, [_letter(ready, offset=1, value=b"a"), _letter(ready, offset=2, value=b"b", reason="bad-id")]
    )
    assert [item.value for item in redrive(ready, reason="bad-id").sent] == [b"b"]
    assert [item.redriven for item in list_letters(ready)] == [False, True]


def test_letter_of_a_partition_that_no_longer_exists_is_not_marked(ready: KafkaSettings) -> None:
    _write(ready, [_letter(ready, offset=1, value=b"a", partition=99), _letter(ready, offset=2, value=b"b")])
    quick = ready.model_copy(update={"request_timeout_s": 5.0})
    with pytest.raises(PublishError, match="clicks"):
        redrive(quick)
    assert [item.redriven for item in list_letters(ready)] == [False, True]


def test_bad_record_is_kept_whole_with_its_key(kafka: KafkaSettings) -> None:
    record = LogRecord("clicks", 2, 17, NOW_MS, b"u1", b"{broken", (("ce_id", b"1"),))
    [reject] = decode(record.value, topic=Topic.CLICKS, now_ms=NOW_MS, key=record.key).rejects
    published = letter(record, reject, topic=topics.topic_name(Topic.DEAD_LETTERS, kafka=kafka))
    assert (published.key, published.value) == (b"u1", b"{broken")
    headers = dict(published.headers)
    assert headers["hw-reason"] == b"not-json"
    assert (
        headers["hw-source-topic"] + headers["hw-source-partition"] + headers["hw-source-offset"]
        == b"clicks217"
    )
    assert headers["ce_id"] == b"1"


def test_null_record_is_kept_null() -> None:
    record = LogRecord("clicks", 2, 17, NOW_MS, b"u1", None)
    [reject] = decode(None, topic=Topic.CLICKS, now_ms=NOW_MS).rejects
    assert letter(record, reject, topic="dead-letters").value is None


def test_bad_event_of_an_envelope_is_kept_alone_without_the_envelopes_key() -> None:
    bad = b'{"event": "no-such-event"}'
    record = LogRecord("clicks", 0, 5, NOW_MS, b"envelope", b'{"events": [' + bad + b", " + bad + b"]}")
    rejects = decode(record.value, topic=Topic.CLICKS, now_ms=NOW_MS, key=None).rejects
    published = [letter(record, reject, topic="dead-letters") for reject in rejects]
    assert [(item.key, item.value) for item in published] == [(None, bad), (None, bad)]
    assert [dict(item.headers)["hw-event-index"] for item in published] == [b"0", b"1"]


def test_letter_of_a_redriven_record_counts_its_attempts() -> None:
    record = LogRecord("clicks", 0, 5, NOW_MS, b"k", b"{", ((ATTEMPTS, b"2"), ("ce_id", b"1")))
    [reject] = decode(record.value, topic=Topic.CLICKS, now_ms=NOW_MS).rejects
    headers = letter(record, reject, topic="dead-letters").headers
    assert attempts_of(headers) == 2
    assert [name for name, _ in headers].count(ATTEMPTS) == 1


@given(
    st.lists(
        st.tuples(
            st.text(max_size=10).filter(lambda name: not name.startswith("hw-")), st.binary(max_size=20)
        )
    )
)
def test_headers_of_the_original_are_kept_in_order(original: list[tuple[str, bytes]]) -> None:
    kafka = KafkaSettings()
    headers = to_headers(_letter(kafka, offset=1, value=b"x", headers=tuple(original)))
    assert headers[: len(original)] == tuple(original)


def test_missing_topic_says_what_to_do(kafka: KafkaSettings) -> None:
    with pytest.raises(ReadError, match="headwater topics ensure"):
        list_letters(kafka)


def test_reading_ends_where_the_topic_ended_and_can_start_later(ready: KafkaSettings) -> None:
    name = topics.topic_name(Topic.ADAPTERS, kafka=ready)
    _produce(ready, [Record(name, b"k", str(number).encode()) for number in range(2500)])
    assert [record.offset for record in read_to_end(ready, topics=[name])] == list(range(2500))
    later = read_to_end(ready, topics=[name], start={(name, 0): 2498})
    assert [record.value for record in later] == [b"2498", b"2499"]
    with BoundedReader(ready, topics=[name]) as reader:
        assert len(list(reader.read())) == 2500
        assert list(reader.read()) == []
        _produce(ready, [Record(name, b"k", b"more")])
        assert [record.value for record in reader.read()] == [b"more"]


def _set_aside(value: bytes, **fields: Any) -> LogRecord:
    given: dict[str, Any] = {"key": b"u1"} | fields
    return LogRecord("clicks", 3, 41, NOW_MS, value=value, **given)


def _reject(value: bytes) -> Reject:
    return Reject(0, BadEvent(Reason.TOO_LARGE, received="much", expected="less"), value)


@pytest.mark.parametrize("key", [b"u1", b"k" * 1_500_000])
@pytest.mark.parametrize("headers", [(("ce_id", b"e"),), (("big", b"h" * 1_500_000),)])
def test_a_letter_that_no_topic_takes_is_cut_says_so_and_is_not_redriven(
    ready: KafkaSettings, key: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    value = bytes(range(256)) * 12_000
    record = _set_aside(value, key=key, headers=headers)
    with Publisher(ready.confluent()) as publisher:
        asyncio.run(publisher.send([letter(record, _reject(value), topic=_dead_letters(ready))]))
    [kept] = list_letters(ready)
    assert kept.cut_from == len(value)
    assert kept.reason == "too-large"
    assert kept.source == ("clicks", 3, 41, 0)
    assert value.startswith(kept.value or b"-")
    assert len(kept.value or b"") > topics.LETTER_MAX_BYTES // 4
    report = redrive(ready)
    assert (report.sent, report.cut) == ((), 1)


def test_a_letter_that_the_broker_refuses_for_its_size_is_sent_shorter_and_the_rest_arrives(
    ready: KafkaSettings,
) -> None:
    """As on a topic that was made by hand, with the broker's usual limit."""
    value = b"x" * 1_200_000
    config = {**ready.confluent(), "message.max.bytes": 1_000_000}
    big = letter(_set_aside(value), _reject(value), topic=_dead_letters(ready))
    small = letter(_set_aside(b"{"), _reject(b"{"), topic=_dead_letters(ready))
    assert shorter(small) is None
    with Publisher(config, shorter=shorter) as publisher:
        asyncio.run(publisher.send([big, small]))
    by_size = sorted(list_letters(ready), key=lambda kept: len(kept.value or b""))
    assert [(kept.value or b"")[:1] for kept in by_size] == [b"{", b"x"]
    assert [kept.cut_from for kept in by_size] == [None, len(value)]


def test_headers_without_a_value_are_no_reason_to_stop(ready: KafkaSettings) -> None:
    record = _set_aside(b"{", headers=((ATTEMPTS, None), ("ce_id", None)))
    with Publisher(ready.confluent()) as publisher:
        asyncio.run(publisher.send([letter(record, _reject(b"{"), topic=_dead_letters(ready))]))
        asyncio.run(publisher.send([Record(_dead_letters(ready), None, b"", headers=(("hw-reason", None),))]))
    first, foreign = list_letters(ready)
    assert (first.headers, first.attempts) == ((("ce_id", None),), -1)
    assert (foreign.reason, foreign.source_offset) == ("", -1)


def _dead_letters(kafka: KafkaSettings) -> str:
    return topics.topic_name(Topic.DEAD_LETTERS, kafka=kafka)
