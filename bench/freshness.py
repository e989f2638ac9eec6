"""From a click's intended send time to its new recommendation, read from the topic by a process of its own."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from bench.clicking import Clicked, Traffic, click
from bench.machine import Machine
from bench.report import BenchReport, Goal
from bench.scrape import labelled, parse, since, stage_means_ms, total
from bench.servers import BrokerKind, running
from bench.shop import Clicks
from bench.shop_floor import Past, make_past, publish_past, wait_caught_up
from bench.telling import Tell, silent
from events.clock import SystemClock
from streams.settings import Settings
from streams.system import System

DeepChoice = Literal["auto", "on", "off"]
_WORKER = "recommender-1"
_DEEP: dict[DeepChoice, bool | None] = {"auto": None, "on": True, "off": False}


@dataclass(frozen=True, slots=True)
class FreshnessConfig:
    """The traffic, and the shop that it comes to."""

    rate: float
    seconds: float
    warmup_s: float = 20.0
    broker: BrokerKind = "embedded"
    kafka_home: Path | None = None
    with_learner: bool = False  # a learner and an encoder run beside the recommender
    history: int = 2_000  # events of the shipped stream that the shop has behind it
    deep: DeepChoice = "auto"  # auto: the transformer serves if the learner found that it pays
    linger_ms: float = 1.0  # of the client that sends the clicks

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.seconds > 0 and self.history >= 1):
            raise ValueError(
                f"rate is {self.rate}, seconds {self.seconds}, history {self.history}; "
                "expected rate and seconds above 0, history from 1"
            )
        if min(self.warmup_s, self.linger_ms) < 0:
            raise ValueError(f"warmup_s is {self.warmup_s}, linger_ms {self.linger_ms}; expected both from 0")


def run_freshness(
    config: FreshnessConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """One recommender on real servers; distinct shoppers click at the rate, each once."""
    with ExitStack() as stack:
        ready = stack.enter_context(
            running(
                settings,
                broker=config.broker,
                kafka_home=config.kafka_home,
                prefix=f"freshness-{uuid4().hex[:8]}-",
            )
        )
        past = make_past(
            events=config.history, settings=ready, train=True, deep_pays=_DEEP[config.deep], tell=tell
        )
        publish_past(past, settings=ready, tell=tell)
        system = stack.enter_context(
            System(ready, recommenders=1, learner=config.with_learner, encoder=config.with_learner)
        )
        tell("starting the workers")
        system.wait_ready()
        wait_caught_up(system, _WORKER, events=len(past.events))
        tell(f"{config.rate:g} clicks/s for {config.warmup_s:g} + {config.seconds:g} s")
        before: list[dict[str, float]] = []
        clicked = click(
            Clicks(past.events, start_ms=SystemClock().now_ms()),
            traffic=Traffic(
                rate=config.rate,
                duration_s=config.warmup_s + config.seconds,
                warmup_s=config.warmup_s,
                topic_prefix=ready.kafka.topic_prefix,
                partitions=ready.kafka.partitions,
                fetch_wait_ms=ready.kafka.fetch_wait_ms or 100,
                linger_ms=config.linger_ms,
            ),
            kafka=ready.kafka.confluent(),
            warmed=lambda: before.append(parse(system.metrics(_WORKER))),
            show=tell,
        )
        grown = since(parse(system.metrics(_WORKER)), before[0] if before else {})
        restarts = sum(system.supervisor.restarts.values())
    return _report(config, clicked, grown, past=past, restarts=restarts, settings=ready, machine=machine)


def _report(
    config: FreshnessConfig,
    clicked: Clicked,
    grown: dict[str, float],
    *,
    past: Past,
    restarts: int,
    settings: Settings,
    machine: Machine,
) -> BenchReport:
    counts, latency = clicked.counts, clicked.latency_ms
    slates = total(grown, "headwater_recommendations_total")
    degraded = labelled(grown, "headwater_degradations_total", label="kind")
    batches = total(grown, "headwater_batch_events_count")
    return BenchReport(
        name="freshness",
        figures={
            "achieved_rate": clicked.sent_per_s,
            "p50_ms": latency.p50,
            "p90_ms": latency.p90,
            "p99_ms": latency.p99,
            "max_ms": latency.max,
            "degraded_share": sum(degraded.values()) / slates if slates else 0.0,
            "lost": counts.lost + counts.undelivered,
            "duplicated": counts.duplicate_recommendations,
        },
        goals=_goals(config),
        details={
            "measured": latency.n,
            "degraded": {kind: round(count) for kind, count in degraded.items() if count},
            "stage_mean_ms": stage_means_ms(grown),
            "batch_mean_events": total(grown, "headwater_batch_events_sum") / batches if batches else 0.0,
            "sender_behind_ms": {"p50": clicked.behind_ms.p50, "p99": clicked.behind_ms.p99},
            "client_cores": clicked.cpu_cores,
            "worker_cores": total(grown, "process_cpu_seconds_total") / config.seconds,
            "restarts": restarts,
            "timeline": [
                {"second": at.second, "due": at.due, "p50_ms": at.p50_ms, "p99_ms": at.p99_ms}
                for at in clicked.timeline
            ],
        },
        settings={
            "rate": config.rate,
            "seconds": config.seconds,
            "warmup_s": config.warmup_s,
            "broker": "Apache Kafka" if config.broker == "kafka" else "embedded (tansu)",
            "with_learner": config.with_learner,
            "history_events": len(past.events),
            "catalogue_items": len(past.items),
            "transformer_serves": past.deep_pays and settings.serving.deep_budget_ms > 0,
            "deep_budget_ms": settings.serving.deep_budget_ms,
            "batch_max": settings.serving.batch_max,
            "partitions": settings.kafka.partitions,
            "fetch_every_ms": settings.kafka.fetch_every_ms,
            "client_linger_ms": config.linger_ms,
        },
        notes=(
            "open loop: latency runs from a click's due time to its recommendation read from the topic; every "
            "click is of a shopper of its own; broker, Redis, worker and client share this machine; stages are "
            "means of a batch after the warm-up",
        ),
        machine=machine,
    )


def _goals(config: FreshnessConfig) -> tuple[Goal, ...]:
    """The figures that were asked for: 1,000/s on Apache Kafka, 200/s on the embedded broker."""
    if config.broker == "kafka" and config.rate == 1_000:
        return (Goal("p50_ms", 25), Goal("p99_ms", 75))
    if config.broker == "embedded" and config.rate == 200:
        return (Goal("p99_ms", 100),)
    return ()
