"""How long what was learnt elsewhere takes to serve: catalogue records, and the learner's adapters."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from bench.adapter_propagation import AdaptersTaken, watch_adapters
from bench.errors import BenchError
from bench.item_propagation import ItemsTaken, probe_items
from bench.machine import Machine
from bench.report import BenchReport, Goal
from bench.scrape import parse, total
from bench.servers import BrokerKind, running
from bench.shop import Clicks
from bench.shop_floor import make_past, publish_past, wait_caught_up
from bench.telling import Tell, silent
from events.clock import SystemClock
from load.latency import Percentiles
from streams.settings import Settings
from streams.system import System

_WORKER = "recommender-1"


@dataclass(frozen=True, slots=True)
class PropagationConfig:
    """How many items; for how long adapters are watched, and under which traffic."""

    items: int = 200
    asked: int = 20  # of the items: those that a shopper must be shown, too
    seconds: float = 30.0
    rate: float = 100.0  # clicks a second while adapters are watched
    batch_units: int = 32  # of a training step; an adapter is published after each
    history: int = 500
    broker: BrokerKind = "embedded"
    kafka_home: Path | None = None

    def __post_init__(self) -> None:
        if min(self.items, self.batch_units, self.history) < 1 or min(self.seconds, self.rate) <= 0:
            raise ValueError(
                f"items is {self.items}, batch_units {self.batch_units}, history {self.history}, seconds "
                f"{self.seconds}, rate {self.rate}; all must be above 0"
            )


def run_propagation(
    config: PropagationConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Recommender, encoder and learner as processes of their own on real servers."""
    with ExitStack() as stack:
        snapshots = stack.enter_context(TemporaryDirectory(prefix="headwater-bench-"))
        settings = settings.updated(
            learner={
                "publish_every_batches": 1,
                "batch_units": config.batch_units,
                "snapshot_dir": snapshots,
            }
        )
        ready = stack.enter_context(
            running(
                settings,
                broker=config.broker,
                kafka_home=config.kafka_home,
                prefix=f"propagation-{uuid4().hex[:8]}-",
            )
        )
        past = make_past(events=config.history, settings=ready, train=False, deep_pays=None, tell=tell)
        publish_past(past, settings=ready, tell=tell)
        system = stack.enter_context(System(ready))
        tell("starting recommender, learner and encoder")
        system.wait_ready()
        wait_caught_up(system, _WORKER, events=len(past.events))
        tell(f"{config.items} new items, one after the other")
        items = probe_items(
            system, settings=ready, catalogue=past.items, samples=config.items, asked=config.asked
        )
        tell(f"{config.rate:g} clicks/s for {config.seconds:g} s, an adapter after every step")
        adapters = watch_adapters(
            Clicks(past.events, start_ms=SystemClock().now_ms()),
            settings=ready,
            rate=config.rate,
            seconds=config.seconds,
        )
        if not len(adapters.published_ms):
            raise BenchError(
                f"no adapter came into use in {config.seconds:g} s\n{system.log_tail('learner')}"
            )
        steps = total(parse(system.metrics("learner")), "headwater_learner_steps_total")
    return _report(config, items, adapters, steps=steps, settings=ready, machine=machine)


def _report(
    config: PropagationConfig,
    items: ItemsTaken,
    adapters: AdaptersTaken,
    *,
    steps: float,
    settings: Settings,
    machine: Machine,
) -> BenchReport:
    item, published, made = (
        Percentiles.of(latencies)
        for latencies in (items.latencies_ms, adapters.published_ms, adapters.made_ms)
    )
    return BenchReport(
        name="propagation",
        figures={
            "item_p50_ms": item.p50,
            "item_p99_ms": item.p99,
            "adapter_p50_ms": published.p50,
            "adapter_p99_ms": published.p99,
        },
        goals=(Goal("item_p99_ms", 200), Goal("adapter_p99_ms", 1_000)),
        details={
            "item_max_ms": item.max,
            "items": item.n,
            "items_shown": f"{items.shown} of {items.asked} asked for",
            "adapter_max_ms": published.max,
            "adapter_from_step_ms": {"p50": made.p50, "p99": made.p99},
            "adapters": published.n,
            "learner_steps": round(steps),
            "clicks": adapters.clicks,
        },
        settings={
            "broker": "Apache Kafka" if config.broker == "kafka" else "embedded (tansu)",
            "rate": config.rate,
            "seconds": config.seconds,
            "batch_units": config.batch_units,
            "publish_every_batches": settings.learner.publish_every_batches,
            "history_events": config.history,
            "fetch_wait_ms": settings.kafka.fetch_wait_ms,
        },
        notes=(
            "item: from handing a catalogue record to the client until the recommender counts one more searchable "
            "item, through the encoder; asked without pause over HTTP, whose time is included",
            "items_shown: of the last items, those in the slate of a new shopper who clicks on the item whose "
            "title they extend",
            "adapter: from the timestamp of the learner's record to the arrival of the first recommendation with "
            "that version or a later one; the wait for the next click is included",
        ),
        machine=machine,
    )
