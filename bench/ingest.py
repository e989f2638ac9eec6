"""Events a second of one worker through a backlog, beside Faust's own loop and a bare consumer, by turns."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from uuid import uuid4

from bench.contenders import time_headwater, time_raw
from bench.learning_alone import time_learning_alone
from bench.machine import Machine
from bench.report import BenchReport, Goal
from bench.servers import BrokerKind, running
from bench.shop import Clicks, stream
from bench.shop_floor import event_records
from bench.telling import Tell, silent
from events.clock import SystemClock
from events.codec import encode_envelope
from events.ids import partition_of
from events.topics import Topic
from events.types import AnyUserEvent
from streams.publisher import Record
from streams.settings import Settings
from streams.topics import topic_name

_ITEMS_FROM = 2_000  # events of the shipped stream whose items are clicked


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """The backlog, and how often everyone takes it."""

    events: int = 50_000
    shoppers: int = 5_000
    envelope: int = 50  # events of one partition in a record
    rounds: int = 3
    broker: BrokerKind = "embedded"
    kafka_home: Path | None = None

    def __post_init__(self) -> None:
        if min(self.events, self.shoppers, self.envelope, self.rounds) < 1:
            raise ValueError(
                f"events is {self.events}, shoppers {self.shoppers}, envelope {self.envelope}, rounds "
                f"{self.rounds}; all must be at least 1"
            )


def run_ingest(
    config: IngestConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Medians over the rounds; every timing has topics, consumer groups and keys of its own."""
    start_ms = SystemClock().now_ms() - config.events  # one a millisecond, up to now
    clicks = Clicks(list(stream(_ITEMS_FROM)), shoppers=config.shoppers, start_ms=start_ms)
    events = list(islice(iter(clicks), config.events))
    run = uuid4().hex[:8]
    speeds: dict[str, list[float]] = defaultdict(list)
    with running(
        settings, broker=config.broker, kafka_home=config.kafka_home, prefix=f"ingest-{run}-"
    ) as ready:
        turns = _turns(config, events)
        for number in range(config.rounds):
            for at in range(len(turns)):
                name, turn = turns[(at + number) % len(turns)]  # another one begins in every round
                own = _own(ready, prefix=f"ingest-{run}-{number}-{name.replace('_', '-')}-")
                speeds[name].append(turn(own))
                tell(f"round {number + 1}: {name} {speeds[name][-1]:,.0f} events/s")
    return _report(config, speeds, settings=ready, machine=machine)


def _own(settings: Settings, *, prefix: str) -> Settings:
    return settings.updated(kafka={"topic_prefix": prefix}, redis={"prefix": prefix.strip("-")})


def _turns(
    config: IngestConfig, events: Sequence[AnyUserEvent]
) -> list[tuple[str, Callable[[Settings], float]]]:
    """Who takes the backlog: name and timing."""

    def single(settings: Settings) -> Iterator[Record]:
        return iter(event_records(events, settings=settings))

    def enveloped(settings: Settings) -> Iterator[Record]:
        return envelopes(events, size=config.envelope, settings=settings)

    count = len(events)
    return [
        ("faust_raw_eps", lambda own: time_raw("faust", settings=own, records=single, count=count)),
        ("headwater_eps", lambda own: time_headwater(settings=own, records=single, events=count)),
        ("aiokafka_eps", lambda own: time_raw("aiokafka", settings=own, records=single, count=count)),
        ("headwater_envelope_eps", lambda own: time_headwater(settings=own, records=enveloped, events=count)),
        (
            "learning_alone_eps",
            lambda own: time_learning_alone(settings=own, records=enveloped(own), events=count),
        ),
    ]


def envelopes(events: Sequence[AnyUserEvent], *, size: int, settings: Settings) -> Iterator[Record]:
    """The clicks in records of `size` events of one partition each, in order; the last of each may be smaller."""
    topic = topic_name(Topic.CLICKS, kafka=settings.kafka)
    partitions = settings.kafka.partitions
    waiting: dict[int, list[AnyUserEvent]] = defaultdict(list)
    for event in events:
        partition = partition_of(event.user_id.encode(), partitions=partitions)
        held = waiting[partition]
        held.append(event)
        if len(held) == size:
            yield Record(topic, held[0].user_id.encode(), encode_envelope(held), partition)
            held.clear()
    for partition, held in waiting.items():
        if held:
            yield Record(topic, held[0].user_id.encode(), encode_envelope(held), partition)


def _report(
    config: IngestConfig, speeds: dict[str, list[float]], *, settings: Settings, machine: Machine
) -> BenchReport:
    figures = {name: median(found) for name, found in speeds.items()}
    faust, own = figures["faust_raw_eps"], figures["headwater_eps"]
    return BenchReport(
        name="ingest",
        figures={
            "headwater_eps": own,
            "headwater_envelope_eps": figures["headwater_envelope_eps"],
            "faust_raw_eps": faust,
            "aiokafka_eps": figures["aiokafka_eps"],
            "learning_alone_eps": figures["learning_alone_eps"],
            "ratio_to_faust_raw": own / faust,
            "envelope_ratio_to_faust_raw": figures["headwater_envelope_eps"] / faust,
            "learning_alone_ratio": figures["learning_alone_eps"] / own,
            "envelope_ratio": figures["headwater_envelope_eps"] / own,
        },
        goals=(Goal("ratio_to_faust_raw", 0.7, at_least=True), Goal("envelope_ratio", 10, at_least=True)),
        details={"rounds_eps": {name: [round(eps) for eps in found] for name, found in speeds.items()}},
        settings={
            "events": config.events,
            "shoppers": config.shoppers,
            "envelope": config.envelope,
            "rounds": config.rounds,
            "broker": "Apache Kafka" if config.broker == "kafka" else "embedded (tansu)",
            "partitions": settings.kafka.partitions,
            "batch_max": settings.serving.batch_max,
            "fetch_wait_ms": settings.kafka.fetch_wait_ms,
        },
        notes=(
            "each contender is ready, stopped while its backlog is written, and timed from SIGCONT to its last "
            "event; Headwater's is over when Redis holds the last offset of every partition and the sources have "
            "learnt every event; slates wait meanwhile, as they do on a backlog",
            "learning_alone is the sources' reader by itself, in envelopes, in process: no broker, no Redis, no agent; "
            "a worker cannot take envelopes faster than that",
        ),
        machine=machine,
    )
