"""Test-then-train over the shipped stream: Headwater, its parts and the baselines, at every checkpoint."""

import time
from dataclasses import dataclass
from typing import Any

from bench.machine import Machine
from bench.offline import Offline, item_vectors
from bench.report import BenchReport
from bench.shop import catalogue, stream, until
from bench.telling import Tell, silent
from events.topics import Topic
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class PrequentialConfig:
    """How much of the shipped stream; where it is looked at."""

    events: int | None = None  # None: all
    checkpoint_every: int = 4_000  # events
    titles: bool = True  # encode the catalogue, so that text neighbours and the transformer have texts

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1 or (self.events is not None and self.events < 1):
            raise ValueError(
                f"events is {self.events}, checkpoint_every {self.checkpoint_every}; both must be at least 1"
            )


def run_prequential(
    config: PrequentialConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Means over the learner's sliding window of units: recall@20 and MRR@20 of everything it compares."""
    events = list(stream(config.events))
    items = until(catalogue(), last_ms=events[-1].occurred_at) if config.titles else []
    tell(f"encoding {len(items):,} titles")
    vectors = item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value)
    offline = Offline(settings)
    checkpoints: list[dict[str, Any]] = []
    started = time.monotonic()

    def seen(events: int) -> None:
        if events % config.checkpoint_every == 0:
            checkpoints.append(_checkpoint(offline, elapsed_s=time.monotonic() - started))
            tell(_line(checkpoints[-1]))

    offline.run(events, items=items, vectors=vectors, tell=tell, seen=seen)
    elapsed_s = time.monotonic() - started
    end = _checkpoint(offline, elapsed_s=elapsed_s)
    return BenchReport(
        name="prequential-demo",
        figures={"prequential": end["prequential"], "units": end["units"], "events": end["events"]},
        details={
            "elapsed_s": round(elapsed_s, 1),
            "events_per_s": round(offline.events / max(elapsed_s, 1e-9), 1),
            "deep_gain_ndcg": end["deep_gain_ndcg"],
            "deep_pays": end["deep_pays"],
            "checkpoints": checkpoints,
        },
        settings={
            "stream": "the shipped cut of UCI Online Retail II",
            "window_units": offline.learning.config.window,
            "batch_units": offline.learning.config.batch_units,
            "deep": settings.learner.deep,
            "deep_sample_every": offline.learner.config.prequential.deep_sample_every,
            "titles": config.titles,
        },
        notes=(
            "every unit is predicted before it is learnt from; means over the last window of warm units; "
            "paired_deep and paired_wide are the same sampled units with and without the transformer",
        ),
        machine=machine,
    )


def _checkpoint(offline: Offline, *, elapsed_s: float) -> dict[str, Any]:
    own = offline.learner.prequential.report()
    return {
        "events": offline.events,
        "units": offline.learning.units,
        "elapsed_s": round(elapsed_s, 1),
        "deep_gain_ndcg": own["deep.gain"],
        "deep_pays": bool(own["deep.pays"]),
        "prequential": offline.learning.report(),
    }


def _line(checkpoint: dict[str, Any]) -> str:
    parts = checkpoint["prequential"]
    scores = ", ".join(f"{name} {part['recall@20']:.3f}/{part['mrr@20']:.3f}" for name, part in parts.items())
    return f"{checkpoint['events']:,} events: {scores}"
