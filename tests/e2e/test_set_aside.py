"""What cannot be used is set aside byte for byte, listed, and sent again once its cause is gone."""

from itertools import count

import pytest

from events.codec import Reject, encode
from events.errors import BadEvent, Reason
from events.topics import USER_TOPICS, Topic
from streams.dead_letters import letter, list_letters, redrive
from streams.log_reader import LogRecord
from streams.system import System
from streams.topics import topic_name
from tests.storefront import Place, Sent, Storefront, view
from tests.streams.deadlines import wait_for

pytestmark = pytest.mark.e2e
_numbers = count(800_000)


def test_poison_on_every_topic_is_kept_with_its_exact_bytes(shared_shop: System) -> None:
    storefront = Storefront(shared_shop.settings)
    poison = [b"\xff\x00\xfe", b"{", b"", b'{"event":"view_item"}', b"[1,2" + b"x" * 5000]
    records = [
        (topic, f"poisoner-{number}".encode(), raw + (f"{topic}".encode() if raw else b""))
        for topic in (*USER_TOPICS, Topic.ITEMS)
        for number, raw in enumerate(poison)
    ]
    places = storefront.send_raw(records)
    expected = {
        (place.topic, place.partition, place.offset): (key, value)
        for place, (_, key, value) in zip(places, records, strict=True)
    }

    def kept() -> dict[tuple[str, int, int], tuple[bytes | None, bytes | None]]:
        return {
            (one.source_topic, one.source_partition, one.source_offset): (one.key, one.value or b"")
            for one in list_letters(storefront.kafka)
        }

    wait_for(lambda: expected.keys() <= kept().keys(), what="every letter")
    found = kept()
    assert {place: found[place] for place in expected} == expected
    [sent] = storefront.send([view("poisoner-0", "still-served", number=next(_numbers))])
    assert storefront.answer(sent).user_id == "poisoner-0"


def test_letter_whose_cause_is_gone_is_redriven_once(shared_shop: System) -> None:
    """As after an upgrade: the version that set it aside could not read it, this one can."""
    storefront = Storefront(shared_shop.settings)
    event = view("patient", "late-but-served", number=next(_numbers))
    source = topic_name(Topic.CLICKS, kafka=storefront.kafka)
    partition = shared_shop.settings.redis.key_space(partitions=storefront.kafka.partitions).partition(
        "patient"
    )
    raw = encode(event)
    original = LogRecord(source, partition, 10**9, event.occurred_at, b"patient", raw)
    error = BadEvent(Reason.WRONG_TYPE, received="a field of the future", expected="one known then")
    kept = letter(
        original, Reject(0, error, raw), topic=topic_name(Topic.DEAD_LETTERS, kafka=storefront.kafka)
    )
    storefront.send_raw([(Topic.DEAD_LETTERS, kept.key, kept.value)], headers=kept.headers)

    def mine() -> list[LogRecord]:
        return [record for record in storefront.log(Topic.CLICKS) if record.key == b"patient"]

    report = redrive(storefront.kafka, reason=Reason.WRONG_TYPE.value)
    assert [one.value for one in report.sent if one.key == b"patient"] == [raw]
    [again] = mine()
    assert again.value == raw
    slate = storefront.answer(Sent(event, Place(again.topic, again.partition, again.offset)))
    assert slate.user_id == "patient"
    assert [one.key for one in redrive(storefront.kafka, reason=Reason.WRONG_TYPE.value).sent] == []
    assert len(mine()) == 1
