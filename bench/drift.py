"""Tastes of half the shoppers move mid-stream: how deep recall falls, how soon it is back, and what of the rest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.drift_curve import Curve, recovery
from bench.drift_seeds import mean_curve, mean_rows
from bench.drift_shop import Frozen, HaltingLearning, Shop, ShopConfig, World, invent_world
from bench.machine import Machine
from bench.offline import item_vectors
from bench.prequential.engine import Engine
from bench.prequential.variants import Variant
from bench.report import BenchReport, Goal
from bench.telling import Tell, silent
from events.topics import Topic
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Contender:
    """What is switched off, and from when."""

    detector: bool = True
    deep: bool = True
    lora: bool = True
    twin: bool = False  # a slow adapter beside the one that learns
    gated: bool = True  # else the transformer serves whether or not it pays
    memory_trial: bool = True  # while it responds, a shopper's latest items alone are tried
    frozen: Frozen = "nothing"  # from the swap on
    swap: bool = True


CONTENDERS: dict[str, Contender] = {
    "headwater": Contender(),
    "whole-memory": Contender(memory_trial=False),
    "no-detector": Contender(detector=False),
    "models-frozen": Contender(detector=False, frozen="models"),
    "everything-frozen": Contender(detector=False, frozen="everything"),
    "wide-only": Contender(deep=False),
    "adapter-frozen": Contender(lora=False),
    "twin-adapter": Contender(twin=True),
    "ungated": Contender(gated=False),
    "adapter-frozen-ungated": Contender(lora=False, gated=False),
    "twin-adapter-ungated": Contender(twin=True, gated=False),
    "no-swap": Contender(swap=False),
}


@dataclass(frozen=True, slots=True)
class DriftBenchConfig:
    """The world, how long it is as it was, and how long it is looked at afterwards; lengths in events of all
    shoppers: views, impressions, clicks, carts and purchases."""

    items: int = 1_000
    shoppers: int = 40
    seeds: tuple[int, ...] = (1,)  # a shop for each, of which the figures are the means
    before: int = 6_000
    after: int = 4_000
    probe_every: int = 250
    level_over: int = 1_000  # the level before the swap is the mean of the probes over so many events
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    titles: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.contenders if name not in CONTENDERS]
        if unknown or not self.contenders:
            raise ValueError(f"contenders {self.contenders}: there are {', '.join(CONTENDERS)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds are {self.seeds}; at least one is needed, each once and none below 0")
        if self.items < 20 or self.shoppers < 2 or min(self.after, self.probe_every, self.level_over) < 1:
            raise ValueError(
                f"items {self.items} >= 20, shoppers {self.shoppers} >= 2, after {self.after}, probe_every "
                f"{self.probe_every} and level_over {self.level_over} >= 1 are needed"
            )
        if not self.probe_every <= self.level_over <= self.before:
            raise ValueError(
                f"level_over is {self.level_over}; it must be from probe_every, {self.probe_every}, "
                f"to before, {self.before}"
            )


def run_drift(
    config: DriftBenchConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """The same shop and the same swap for every contender; see docs/benchmarks/README.md for the measures."""
    rows: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, Any]] = {}
    worlds = {seed: _world(seed, config=config, settings=settings, tell=tell) for seed in config.seeds}
    for name in config.contenders:
        seen: list[Curve] = []
        by_seed: dict[str, dict[str, Any]] = {}
        for seed, world in worlds.items():
            curve, detections = _watch(
                name, seed=seed, config=config, world=world, settings=settings, tell=tell
            )
            seen.append(curve)
            by_seed[str(seed)] = figures_of(curve, config=config) | {"detections_at": detections}
            tell(f"{name}, seed {seed}: {by_seed[str(seed)]}")
        figures = [figures_of(curve, config=config) for curve in seen]
        rows[name] = mean_rows(figures) | {"by_seed": by_seed}
        curves[name] = mean_curve(seen, every=config.probe_every).as_dict()
    main = rows[config.contenders[0]]
    return BenchReport(
        name="drift",
        figures={
            "level": main["level"],
            "recovered_after_2000": main["recovered_after_2000"],
            "untouched_change": main["untouched_change"],
            "contenders": rows,
        },
        details={"curves": curves},
        settings={
            "items": config.items,
            "shoppers": config.shoppers,
            "seeds": config.seeds,
            "events_before": config.before,
            "events_after": config.after,
            "deep": settings.learner.deep,
        },
        notes=(
            "recall: the probability that what a shopper would open unaided is among the 20 best ranked, the "
            "mean over a half of the shoppers and over the seeds",
        ),
        goals=(
            Goal("recovered_after_2000", 0.9, at_least=True),
            Goal("untouched_change", -0.02, at_least=True),
        ),
        machine=machine,
    )


def figures_of(curve: Curve, *, config: DriftBenchConfig) -> dict[str, Any]:
    """The table's row of one contender."""
    at = np.array(curve.events) - config.before  # (P,) events since the swap
    changed, untouched = np.array(curve.changed), np.array(curve.untouched)
    level_at = (at <= 0) & (at > -config.level_over)
    level, untouched_level = float(changed[level_at].mean()), float(untouched[level_at].mean())
    later = at > 0
    clicks = np.array(curve.clicks)
    return {
        "level": level,
        "dip": float(changed[later].min()),
        "recovered_after_2000": float(np.interp(2_000, at, changed)) / level,
        "recovered_at_end": float(changed[-1]) / level,
        "events_to_90_percent": recovery(at[later], changed[later], wanted=0.9 * level),
        "untouched_level": untouched_level,
        "untouched_change": float(untouched[later & (at <= 2_000)].mean()) / untouched_level - 1,
        "clicks_a_slot_before": float(clicks[level_at].mean()),
        "clicks_a_slot_after": float(clicks[later & (at <= 2_000)].mean()),
    }


def _world(seed: int, *, config: DriftBenchConfig, settings: Settings, tell: Tell) -> World:
    """The shop of a seed."""
    catalogue, shoppers, changing = invent_world(items=config.items, shoppers=config.shoppers, seed=seed)
    tell(f"encoding {config.items:,} titles")
    known = catalogue.items if config.titles else ()
    vectors = item_vectors(known, settings=settings, topic=Topic.ITEM_VECTORS.value)
    return World(catalogue, vectors, shoppers, changing)


def _watch(
    name: str, *, seed: int, config: DriftBenchConfig, world: World, settings: Settings, tell: Tell
) -> tuple[Curve, list[int]]:
    """One contender's run: its curve, and at which events since the swap drift was detected."""
    contender = CONTENDERS[name]
    deep = settings.learner.deep and contender.deep
    own = settings.updated(
        learner={
            "deep": deep,
            "drift": contender.detector,
            "drift_memory": settings.learner.drift_memory if contender.memory_trial else 0,
        },
        deep={"twin": contender.twin or settings.deep.twin},
    )
    variant = Variant(slate=True, deep=deep, lora=contender.lora, gated=contender.gated)
    engine = Engine(own, variant=variant, learning=HaltingLearning)
    shop = Shop(ShopConfig(seed=seed), world=world, engine=engine)
    curve, swapped = Curve(), False
    detections: list[int] = []
    next_probe = config.probe_every
    while shop.events < config.before + config.after:
        shop.view()
        drift = engine.learner.drift
        if drift is not None and drift.detections > len(detections):
            detections.append(shop.events - config.before)
        if shop.events >= next_probe:
            recall, best = shop.probe()
            clicks = shop.clicks_a_slot()
            curve.add(shop.events, recall=recall, best=best, clicks=clicks, changing=world.changing)
            next_probe += config.probe_every
            tell(f"{name}, {shop.events:,} events: recall {_halves(recall, world.changing)}")
        if shop.events >= config.before and not swapped:
            swapped = True
            if contender.swap:
                shop.swap()
            shop.freeze(contender.frozen)
    return curve, detections


def _halves(recall: NDArray[np.float64], changing: NDArray[np.bool_]) -> str:
    return f"{recall[changing].mean():.3f} of those who change, {recall[~changing].mean():.3f} of the others"
