"""How a replay is to be run."""

from dataclasses import dataclass, field
from pathlib import Path

from events.pseudonyms import Pseudonyms
from load.columns import EVENT_NAMES, Columns
from load.errors import BadLoadConfig
from load.faults import Faults
from load.pacing import Pace

AWAITED = frozenset(EVENT_NAMES) - {"view_item_list"}


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """How to replay a stream.

    path: a parquet, CSV or JSONL file of events (see load.stream_reader). items: its catalogue file; an item
    is published just before the first event that happened after its own time, or, with `items_first`, before
    all events. columns: which column means what.

    rate: events a second; speed: how many times faster than it happened; neither: flat out. skip, limit:
    leave out the first events, stop after so many. duration_s: stop after this time.

    faults: shares of events sent twice, late or broken; seed: their chance. envelope: events a record, each
    of which waits envelope_wait_ms at most. rebase_time: occurred_at becomes the intended send time.
    id_prefix: put before each event_id, for a second replay into a system that drops what it has applied.

    warmup_s: latencies of the first seconds are left out of the percentiles. settle_s: after the last event,
    wait for answers until none has come for so long; what is then unanswered is lost. awaited: the events
    that must be answered. topic_prefix, linger_ms, fetch_wait_ms: how to speak to Kafka. pseudonyms: by which the
    system names users, if it does.
    """

    path: Path
    items: Path | None = None
    items_first: bool = False
    columns: Columns = field(default_factory=Columns)
    rate: float | None = None
    speed: float | None = None
    skip: int = 0
    limit: int | None = None
    duration_s: float | None = None
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    envelope: int = 1
    envelope_wait_ms: float = 20.0
    rebase_time: bool = False
    id_prefix: str = ""
    warmup_s: float = 0.0
    settle_s: float = 10.0
    awaited: frozenset[str] = AWAITED
    topic_prefix: str = ""
    pseudonyms: Pseudonyms | None = None
    linger_ms: float = 1.0
    fetch_wait_ms: int = 20

    def __post_init__(self) -> None:
        Pace(rate=self.rate, speed=self.speed)
        for name, least in (("skip", 0), ("envelope", 1), ("fetch_wait_ms", 1), ("linger_ms", 0)):
            if getattr(self, name) < least:
                raise BadLoadConfig(f"{name}: received {getattr(self, name)}, expected at least {least}")
        for name in ("settle_s", "warmup_s", "envelope_wait_ms", "limit", "duration_s"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise BadLoadConfig(f"{name}: received {value}, expected a finite number from 0")
        unknown = self.awaited - frozenset(EVENT_NAMES) - {"search"}
        if unknown:
            raise BadLoadConfig(f"awaited: received {sorted(unknown)}, expected names of {EVENT_NAMES}")

    @property
    def pace(self) -> Pace:
        """When events are due."""
        return Pace(rate=self.rate, speed=self.speed)
