"""One shopper's recommend(), stage by stage, after the shipped stream, in batches of several sizes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import Machine
from bench.offline import Offline, item_vectors, user_hashes
from bench.report import BenchReport, Goal
from bench.shop import catalogue, stream, until
from bench.telling import Tell, silent
from events.ids import UserId
from events.topics import Topic
from serving.overload import Plan
from streams.settings import Settings

STAGES = ("state", "query", "sources", "features", "wide", "deep", "slate")
HISTORY = 128  # distinct items of a shopper that the recommender worker shows to the sources
_WARM_UP = 5
_GOALS_AT = 32


@dataclass(frozen=True, slots=True)
class RecommendBenchConfig:
    """How much is learnt first, which batch sizes, how many batches of each."""

    events: int | None = None  # None: the whole shipped stream
    batches: tuple[int, ...] = (1, 32)
    rounds: int = 300
    shoppers: int = 2_000  # the latest active, drawn from by chance
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.batches or min(self.batches) < 1 or self.rounds < 1 or self.shoppers < 1:
            raise ValueError(
                f"batches is {self.batches}, rounds {self.rounds}, shoppers {self.shoppers}; all must be at least 1"
            )


class Stages:
    """Milliseconds of each stage of one batch; it is the recommender's timer."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = defaultdict(float)

    def __call__(self, stage: str, ms: float) -> None:
        self.ms[stage] += ms

    def take(self) -> dict[str, float]:
        """What was timed since the last call."""
        taken, self.ms = dict(self.ms), defaultdict(float)
        return taken


def run_recommend(
    config: RecommendBenchConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """p50 and p99 per shopper of every stage, the transformer serving everyone."""
    timer = Stages()
    offline = _learnt(config, settings=settings, timer=timer, tell=tell)
    users = list(offline.learning.states)[-config.shoppers :]
    rng = np.random.default_rng(config.seed)
    stages: dict[str, dict[str, dict[str, float]]] = {}
    for size in config.batches:
        tell(f"{config.rounds} batches of {size}")
        timed = []
        for turn in range(-_WARM_UP, config.rounds):
            chosen = [users[at] for at in rng.integers(len(users), size=size).tolist()]
            ms = _one_batch(offline, chosen, timer=timer, seed=turn + _WARM_UP, deep=settings.learner.deep)
            if turn >= 0:
                timed.append({name: value / size for name, value in ms.items()})
        stages[str(size)] = _percentiles(timed)
    return _report(config, stages, offline=offline, settings=settings, machine=machine)


def _learnt(config: RecommendBenchConfig, *, settings: Settings, timer: Stages, tell: Tell) -> Offline:
    events = list(stream(config.events))
    items = until(catalogue(), last_ms=events[-1].occurred_at)
    tell(f"encoding {len(items):,} titles")
    vectors = item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value)
    offline = Offline(settings, timer=timer)
    offline.run(events, items=items, vectors=vectors, tell=tell)
    offline.settle()
    timer.take()
    return offline


def _one_batch(
    offline: Offline, users: Sequence[UserId], *, timer: Stages, seed: int, deep: bool
) -> dict[str, float]:
    """Milliseconds of each stage of the whole batch, from stored bytes to slates."""
    hashes = user_hashes(users)
    blobs = [offline.learning.states[user] for user in users]
    started = perf_counter()
    states = offline.codec.unpack(blobs, users=hashes)
    view = offline.codec.view(states, history=HISTORY)
    timer("state", (perf_counter() - started) * 1e3)
    offline.recommender.recommend(
        view,
        now_ms=view.last_ms,
        seeds=np.arange(len(users), dtype=np.uint64) + np.uint64(seed),
        plan=Plan(deep_users=len(users), candidates_share=1.0),
        deep=deep,
    )
    whole = (perf_counter() - started) * 1e3
    return {**timer.take(), "total": whole}


def _percentiles(timed: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """p50 and p99 of each stage; of sums of stages too, where a goal is set for the sum."""
    rows: dict[str, NDArray[np.float64]] = {
        stage: np.array([ms.get(stage, 0.0) for ms in timed]) for stage in (*STAGES, "total")
    }
    rows["sources+features"] = rows["query"] + rows["sources"] + rows["features"]
    return {
        stage: {"p50_ms": float(np.percentile(ms, 50)), "p99_ms": float(np.percentile(ms, 99))}
        for stage, ms in rows.items()
    }


def _report(
    config: RecommendBenchConfig,
    stages: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    offline: Offline,
    settings: Settings,
    machine: Machine,
) -> BenchReport:
    goals: tuple[Goal, ...] = ()
    figures: dict[str, Any] = {f"batch_{size}": dict(found) for size, found in stages.items()}
    if str(_GOALS_AT) in stages:
        at = stages[str(_GOALS_AT)]
        limits = {"sources+features": 0.3, "wide": 0.2, "slate": 0.1, "deep": 3.0}
        for stage, limit in limits.items():
            name = f"{stage.replace('+', '_')}_ms"
            figures[name] = at[stage]["p50_ms"]
            goals += (Goal(name, limit),)
    return BenchReport(
        name="recommend",
        figures=figures,
        goals=goals,
        settings={
            "events": offline.events,
            "candidates": settings.serving.candidates,
            "deep_candidates": settings.serving.deep_candidates,
            "deep": settings.learner.deep,
            "batches": list(config.batches),
            "rounds": config.rounds,
            "threads": settings.learner.threads,
        },
        details={"items": len(offline.sources.items), "shoppers": len(offline.learning.states)},
        notes=(
            f"milliseconds per shopper; goals are for the p50 at a batch of {_GOALS_AT}; state is unpacking and "
            "viewing what Redis holds; query (ids to rows) counts with sources+features; deep scores the wide "
            "part's best deep_candidates of every shopper",
        ),
        machine=machine,
    )
