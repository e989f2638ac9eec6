"""What a worker learns from whole topics: sources from every shopper's events, items, and adapters.

Sources need truth across workers (what is popular, what goes with what), so every recommender reads all
partitions of the event topics, without a consumer group, whoever answers the shoppers. Two workers therefore
recommend as well as one, and a rebalance moves users' states only.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from events.clock import Clock
from events.errors import BadEvent
from events.flatten import HashCache, to_columns
from events.ids import ItemId, stable_hash
from events.item_vector import ItemVector, decode_item_vector
from events.pseudonyms import Pseudonyms
from events.topics import Topic
from events.types import AnyUserEvent
from index.items import ItemIndex
from index.sources.influence import that_count
from index.sources.source_set import SourceSet
from models.errors import AdapterError
from serving.names import ItemNames
from streams.adapter_topic import PIN_KEY
from streams.anomalies import tell_anomalies
from streams.decoding import decode_records
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics

log = get_logger("following")

ApplyAdapter = Callable[[LogRecord], int]  # takes an adapter's record, returns the version now in use
_LEARN_AT_ONCE = 64  # events learnt under one hold of the lock: half a millisecond of a click's wait
_BACKLOG = (
    512  # events of one read from which they are learnt more at a time, at half the cost: nobody is served
)
_LEARN_OF_BACKLOG = 1_024
_ROUND_EVERY = 50  # quiet moments between two visits to items whose neighbours were found before
_REFRESH_AT_ONCE = 8  # items whose text neighbours are found in one quiet moment


class Following:
    """Feeds records to the sources, the catalogue, the text index and the ranker.

    `handle` and `idle` are called from one thread; whoever reads what they feed holds `lock`.
    """

    def __init__(
        self,
        *,
        sources: SourceSet,
        index: ItemIndex,
        apply_adapter: ApplyAdapter,
        topics: Mapping[str, Topic],
        encoder_name: str,
        out_of_stock: bool,
        metrics: Metrics,
        clock: Clock,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self.sources = sources
        self.index = index
        self._apply_adapter = apply_adapter
        self._topics = topics
        self._encoder_name = encoder_name
        self._out_of_stock = out_of_stock
        self._metrics = metrics
        self._clock = clock
        self._pseudonyms = pseudonyms
        self._hashes = HashCache()
        self._warned_encoder = False
        self._evicted = {"items": 0, "users": 0}
        self._idled = 0
        metrics.source_bytes.set(sources.nbytes)

    def handle(self, records: Sequence[LogRecord]) -> None:
        """Take records in log order; those of shopper topics, `item-vectors` and `adapters` may be mixed."""
        events: list[LogRecord] = []
        items: list[LogRecord] = []
        for record in records:
            match self._topics[record.topic]:
                case Topic.ITEM_VECTORS:
                    items.append(record)
                case Topic.ADAPTERS:
                    self._take_adapter(record)
                case _:
                    events.append(record)
        if items:
            self._take_items(items)
        if events:
            arrivals = decode_records(
                events, topics=self._topics, now_ms=self._clock.now_ms(), pseudonyms=self._pseudonyms
            )
            at_once = _LEARN_AT_ONCE if len(arrivals.events) < _BACKLOG else _LEARN_OF_BACKLOG
            for start in range(0, len(arrivals.events), at_once):
                self.learn(arrivals.events[start : start + at_once])

    def idle(self) -> None:
        """Work that waits for a quiet moment: text neighbours of items that came lately, the index's rebuild."""
        self._idled += 1
        if self.sources.unrefreshed or self._idled % _ROUND_EVERY == 0:
            self.sources.refresh(limit=_REFRESH_AT_ONCE, lock=self.lock)
        if self.index.needs_rebuild:
            self.index.rebuild()

    def learn(self, events: Sequence[AnyUserEvent]) -> None:
        """Teach the sources those of these events that have influence, in log order."""
        columns = to_columns(events, hashes=self._hashes)
        verdicts = self.sources.influence.judge_columns(columns)
        with self.lock:
            self.sources.learn(
                that_count(columns.interactions, verdicts), names=ItemNames(events, hashes=self._hashes)
            )
        tell_anomalies(events, verdicts, metrics=self._metrics)
        self._metrics.source_events.inc(len(events))
        self._tell_evictions()

    def _take_items(self, records: Sequence[LogRecord]) -> None:
        for record in records:
            try:
                with self.lock:
                    if record.value is None:
                        self.sources.remove_item(ItemId((record.key or b"").decode()))
                    else:
                        self._upsert(decode_item_vector(record.value))
            except (BadEvent, UnicodeDecodeError) as error:
                log.error("item vector at %s-%d@%d left out: %s", *record[:3], error)
        self._tell_evictions()
        arrived_ms = min(record.timestamp_ms for record in records)
        self._metrics.item_apply_ms.observe(max(0, self._clock.now_ms() - arrived_ms))
        self._metrics.index_items.set(len(self.index))
        self._metrics.index_version.set(self.index.version)

    def _upsert(self, item: ItemVector) -> None:
        self.sources.upsert_item(
            item.item_id,
            first_ms=item.first_ms,
            title=item.title,
            price=item.price or None,
            available=item.available or self._out_of_stock,
            category=item.category,
            brand=item.brand,
            consumable=item.consumable,
        )
        vector = np.frombuffer(item.vector, "<f2").astype(np.float32)[None, :]  # (1, D)
        if item.encoder == self._encoder_name and vector.shape[1] == self.index.dim:
            self.sources.set_vectors(np.array([stable_hash(item.item_id)], np.int64), vector)
        elif len(item.vector) and not self._warned_encoder:
            self._warned_encoder = True
            log.error(
                "vectors of %s (%d dimensions) are left out: this worker uses %s (%d). Run one encoder, and "
                "let it go through the items topic again after a change of model",
                item.encoder,
                vector.shape[1],
                self._encoder_name,
                self.index.dim,
            )

    def _tell_evictions(self) -> None:
        """Count who was forgotten, and say so when it begins: recommendations get worse from there on."""
        for what, rows in (("items", self.sources.items), ("users", self.sources.users)):
            evicted = rows.evicted
            if evicted == self._evicted[what]:
                continue
            if not self._evicted[what]:
                log.warning(
                    "the sources are full of %s: the least recently used are forgotten from here on. Set "
                    "sources.%s higher, which takes memory (docs/limits.md)",
                    what,
                    what,
                )
            self._metrics.source_evictions.labels(what=what).inc(evicted - self._evicted[what])
            self._evicted[what] = evicted

    def _take_adapter(self, record: LogRecord) -> None:
        if record.value is None and record.key != PIN_KEY:
            return
        try:
            with self.lock:
                version = self._apply_adapter(record)
        except AdapterError as error:
            self._metrics.adapters_refused.labels(reason=error.refusal.value).inc()
            if record.key == PIN_KEY and record.value is None:
                self._metrics.adapter_pinned.set(False)  # released all the same
            log.error("adapter at %s-%d@%d left out, the last one serves on: %s", *record[:3], error)
            return
        if record.key == PIN_KEY:
            self._metrics.adapter_pinned.set(record.value is not None)
            log.warning(
                "adapter %d serves, %s",
                version,
                "pinned" if record.value is not None else "nothing is pinned",
            )
        self._metrics.model_version.set(version)
        self._metrics.adapter_apply_ms.observe(max(0, self._clock.now_ms() - record.timestamp_ms))
