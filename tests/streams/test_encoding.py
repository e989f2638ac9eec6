from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from events.clock import ManualClock
from events.codec import encode
from events.ids import ItemId
from events.item_vector import ItemVector, decode_item_vector
from events.types import CatalogueItem
from streams.encoding import EncodingAgent
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record

NOW_MS = 1_700_000_000_000


class LengthEncoder:
    """Encodes a text as its length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def agent(encoder: LengthEncoder, *, remembered: int = 100) -> EncodingAgent:
    return EncodingAgent(
        encoder,
        encoder_name="length",
        vectors_topic="item-vectors",
        dead_letters_topic="dead-letters",
        metrics=Metrics(role="encoder"),
        clock=ManualClock(now_ms=NOW_MS),
        remembered=remembered,
    )


def record(key: str, value: bytes | None, *, offset: int = 0) -> LogRecord:
    return LogRecord("items", 0, offset, NOW_MS - 5, key.encode(), value)


def described(item_id: str, name: str, *, offset: int = 0, **fields: Any) -> LogRecord:
    item = CatalogueItem(item_id=ItemId(item_id), item_name=name, **fields)
    return record(item_id, encode(item), offset=offset)


def vector_in(made: Record) -> ItemVector:
    assert made.value is not None
    return decode_item_vector(made.value)


def test_item_becomes_its_vector_and_what_recommenders_need_to_know() -> None:
    encoder = LengthEncoder()
    [made] = agent(encoder).process(
        [described("a", "mug", price=2.5, item_brand="Acme", item_category="Kitchen", consumable=True)]
    )
    assert (made.topic, made.key) == ("item-vectors", b"a")
    vector = vector_in(made)
    assert encoder.asked == [["mug. Acme. Kitchen"]]
    assert np.frombuffer(vector.vector, "<f2").tolist() == [len("mug. Acme. Kitchen"), 1.0]
    assert (vector.title, vector.price, vector.brand, vector.category) == ("mug", 2.5, "Acme", "Kitchen")
    assert (vector.encoder, vector.available, vector.consumable) == ("length", True, True)
    assert vector.first_ms == NOW_MS - 5  # the record's arrival, where the item does not say


@pytest.mark.parametrize(
    ("availability", "available"),
    [
        ("in_stock", True),
        ("preorder", True),
        ("backorder", True),
        ("out_of_stock", False),
        ("discontinued", False),
    ],
)
def test_availability(availability: str, available: bool) -> None:
    [made] = agent(LengthEncoder()).process([described("a", "mug", availability=availability)])
    assert vector_in(made).available is available


def test_text_seen_before_costs_no_encoding() -> None:
    encoder = LengthEncoder()
    encoding = agent(encoder)
    [first] = encoding.process([described("a", "mug", price=1.0)])
    [second] = encoding.process([described("a", "mug", price=2.0)])
    assert encoder.asked == [["mug"]]
    assert vector_in(first).vector == vector_in(second).vector
    assert vector_in(second).price == 2.0


def test_equal_texts_of_a_batch_are_encoded_once() -> None:
    encoder = LengthEncoder()
    made = agent(encoder).process([described("a", "mug"), described("b", "mug", offset=1)])
    assert encoder.asked == [["mug"]]
    assert [one.key for one in made] == [b"a", b"b"]


def test_last_record_of_an_item_replaces_the_earlier_ones_of_the_batch() -> None:
    made = agent(LengthEncoder()).process(
        [
            described("a", "old", offset=0),
            described("b", "kept", offset=1),
            record("c", None, offset=2),
            described("a", "new", offset=3),
            described("c", "back again", offset=4),
        ]
    )
    assert [(one.key, vector_in(one).title) for one in made] == [
        (b"b", "kept"),
        (b"a", "new"),
        (b"c", "back again"),
    ]


def test_tombstone_is_passed_on_as_one() -> None:
    made = agent(LengthEncoder()).process([described("a", "mug"), record("a", None, offset=1)])
    assert made == [Record("item-vectors", b"a", None)]


def test_poison_becomes_a_letter_and_the_rest_goes_on() -> None:
    made = agent(LengthEncoder()).process([record("x", b"\xff{", offset=7), described("a", "mug", offset=8)])
    assert [(one.topic, one.key) for one in made] == [("dead-letters", b"x"), ("item-vectors", b"a")]
    assert made[0].value == b"\xff{"
    assert dict(made[0].headers)["hw-source-offset"] == b"7"


def test_memory_of_texts_is_bounded_and_keeps_those_in_use() -> None:
    encoder = LengthEncoder()
    encoding = agent(encoder, remembered=2)
    for name in ("one", "two", "one", "three", "one", "two"):
        encoding.process([described("a", name)])
    assert encoder.asked == [["one"], ["two"], ["three"], ["two"]]
