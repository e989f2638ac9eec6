"""What the demo knows of the running system, from nothing but its topics: events, slates, adapters."""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from events.codec import decode
from events.errors import BadEvent
from events.recommendation import Recommendation, decode_recommendation
from events.topics import Topic
from events.types import ItemsEvent
from streams.adapter_topic import PIN_KEY, SERVING_HEADER
from streams.log_reader import LogRecord

_LATELY = 1_000  # slates over which freshness is shown
_FOLLOW_FROM = 4  # purchases by which a shopper must lead the followed one to be followed instead
_HISTORY = 6


@dataclass(frozen=True, slots=True)
class Progress:
    """One adapter's record: what had been learnt when it was published."""

    at_s: float
    version: int
    units: int
    prequential: Mapping[str, Mapping[str, float]]
    deep_pays: bool


@dataclass(slots=True)
class Shopper:
    """The shopper whose slate the demo shows."""

    user_id: str
    bought: deque[str] = field(default_factory=lambda: deque(maxlen=_HISTORY))  # item ids, latest last
    slate: Recommendation | None = None
    slates: int = 0


@dataclass(frozen=True, slots=True)
class Glance:
    """Everything a view shows, at one moment."""

    elapsed_s: float
    events: int
    events_per_s: float
    fresh_p50_ms: float  # NaN before the first slate, as is the next
    fresh_p99_ms: float
    slates: int
    progress: Sequence[Progress]
    shopper: Shopper | None


class Board:
    """Takes records from a reader's thread; `glance` may be called from another."""

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self._topics = topics
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._arrivals: deque[float] = deque()
        self._fresh_ms: deque[float] = deque(maxlen=_LATELY)
        self._purchases: Counter[str] = Counter()
        self._shopper: Shopper | None = None
        self._events = self._slates = 0
        self.progress: list[Progress] = []

    def start_clock(self) -> None:
        """Time runs from now on."""
        self._started_s = time.monotonic()

    def take(self, records: Sequence[LogRecord]) -> None:
        """Note these records."""
        with self._lock:
            for record in records:
                match self._topics[record.topic]:
                    case Topic.RECOMMENDATIONS:
                        self._take_slate(record)
                    case Topic.ADAPTERS:
                        self._take_adapter(record)
                    case topic:
                        self._take_events(record, topic)

    def glance(self) -> Glance:
        """How things stand."""
        with self._lock:
            now_s = time.monotonic()
            while self._arrivals and self._arrivals[0] < now_s - 5:
                self._arrivals.popleft()
            window_s = max(0.5, min(5.0, now_s - self._started_s))
            fresh = np.array(self._fresh_ms) if self._fresh_ms else np.full(1, np.nan)
            return Glance(
                elapsed_s=now_s - self._started_s,
                events=self._events,
                events_per_s=len(self._arrivals) / window_s,
                fresh_p50_ms=float(np.percentile(fresh, 50)),
                fresh_p99_ms=float(np.percentile(fresh, 99)),
                slates=self._slates,
                progress=tuple(self.progress),
                shopper=self._shopper,
            )

    def _take_events(self, record: LogRecord, topic: Topic) -> None:
        for event in decode(record.value, topic=topic, now_ms=record.timestamp_ms).events:
            self._events += 1
            self._arrivals.append(time.monotonic())
            if topic is not Topic.PURCHASES or not isinstance(event, ItemsEvent):
                continue
            self._purchases[event.user_id] += 1
            followed = self._purchases[self._shopper.user_id] if self._shopper else 0
            if event.user_id != (self._shopper and self._shopper.user_id) and (
                self._purchases[event.user_id] >= followed + _FOLLOW_FROM
            ):
                self._shopper = Shopper(event.user_id)
            if self._shopper is not None and self._shopper.user_id == event.user_id:
                self._shopper.bought.extend(item.item_id for item in event.items)

    def _take_slate(self, record: LogRecord) -> None:
        try:
            slate = decode_recommendation(record.value or b"")
        except BadEvent:
            return
        self._slates += 1
        self._fresh_ms.append(slate.fresh_ms)
        if self._shopper is not None and self._shopper.user_id == slate.user_id:
            self._shopper.slate = slate
            self._shopper.slates += 1

    def _take_adapter(self, record: LogRecord) -> None:
        if record.key == PIN_KEY:
            return  # what an operator chose is no progress of the learner
        serving = json.loads(dict(record.headers)[SERVING_HEADER] or b"")
        self.progress.append(
            Progress(
                at_s=time.monotonic() - self._started_s,
                version=serving["version"],
                units=serving["units"],
                prequential=serving["prequential"],
                deep_pays=serving["deep_pays"],
            )
        )
