"""The encoder agent's work: catalogue records become vectors that every recommender can search."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_intdigest

from events.clock import Clock
from events.codec import Reject, decode_item
from events.errors import BadEvent
from events.item_vector import ItemVector, encode_item_vector
from events.limits import MAX_LABEL_CHARS, MAX_TEXT_CHARS, MAX_TITLE_CHARS
from events.types import CatalogueItem, Tombstone
from streams.dead_letters import letter
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record

_AVAILABLE = frozenset({"in_stock", "preorder", "backorder"})


class Encode(Protocol):
    """Texts to unit vectors: (n,) strings to (n, D) float32, zeros for an empty text."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class EncodingAgent:
    """Encodes texts it has not seen lately; a price or stock change alone costs no encoding.

    Texts, titles and labels are cut to what is used of them (`events.limits`), so that an item with a megabyte
    of description costs no more than another, and neither do the slates that name it.
    """

    def __init__(
        self,
        encoder: Encode,
        *,
        encoder_name: str,
        vectors_topic: str,
        dead_letters_topic: str,
        metrics: Metrics,
        clock: Clock,
        remembered: int = 50_000,
    ) -> None:
        self._encoder = encoder
        self._encoder_name = encoder_name
        self._vectors_topic = vectors_topic
        self._dead_letters_topic = dead_letters_topic
        self._metrics = metrics
        self._clock = clock
        self._remembered = remembered
        self._vectors: OrderedDict[int, bytes] = OrderedDict()  # hash of a text -> float16 bytes, latest last

    def process(self, records: Sequence[LogRecord]) -> list[Record]:
        """What to publish for these catalogue records before acking them, in their order.

        Of several records of one item in the batch only the last is published: it replaces the others.
        """
        letters: list[Record] = []
        latest: dict[str, tuple[LogRecord, CatalogueItem | Tombstone]] = {}
        for record in records:
            self._metrics.events.labels(topic=record.topic).inc()
            try:
                item = decode_item(record.value, now_ms=self._clock.now_ms(), key=record.key)
            except BadEvent as error:
                self._metrics.dead_letters.labels(reason=error.reason).inc()
                reject = Reject(0, error, record.value or b"")
                letters.append(letter(record, reject, topic=self._dead_letters_topic))
                continue
            latest.pop(item.item_id, None)
            latest[item.item_id] = (record, item)
        vectors = self._vectors_of([item for _, item in latest.values() if isinstance(item, CatalogueItem)])
        return letters + [self._record(record, item, vectors) for record, item in latest.values()]

    def _vectors_of(self, items: Sequence[CatalogueItem]) -> dict[str, bytes]:
        """The vector of each item's text, by item id."""
        texts = {item.item_id: item.text()[:MAX_TEXT_CHARS] for item in items}
        hashes = {text: xxh3_128_intdigest(text.encode()) for text in texts.values() if text}
        known = self._vectors
        unknown = [text for text, hashed in hashes.items() if hashed not in known]
        if unknown:
            encoded = self._encoder.encode(unknown).astype("<f2")
            for text, vector in zip(unknown, encoded, strict=True):
                known[hashes[text]] = vector.tobytes()
        found: dict[str, bytes] = {}
        for item_id, text in texts.items():
            if text:
                known.move_to_end(hashes[text])
            found[item_id] = known[hashes[text]] if text else b""
        while len(known) > self._remembered:
            known.popitem(last=False)
        return found

    def _record(
        self, record: LogRecord, item: CatalogueItem | Tombstone, vectors: dict[str, bytes]
    ) -> Record:
        key = item.item_id.encode()
        if isinstance(item, Tombstone):
            return Record(self._vectors_topic, key, None)
        described = ItemVector(
            item_id=item.item_id,
            title=item.item_name[:MAX_TITLE_CHARS],
            vector=vectors[item.item_id],
            encoder=self._encoder_name,
            price=item.price or 0.0,
            available=item.availability in _AVAILABLE,
            category=(item.item_category or "")[:MAX_LABEL_CHARS],
            brand=(item.item_brand or "")[:MAX_LABEL_CHARS],
            consumable=bool(item.consumable),
            first_ms=item.occurred_at or record.timestamp_ms,
        )
        return Record(self._vectors_topic, key, encode_item_vector(described))
