"""One training step of the transformer part: its time by depth and size, and its share of what the device can do."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arithmetic import Shape, measured_peak, training_flops, wait_for
from bench.errors import BenchError
from bench.machine import Machine
from bench.offline import Offline, item_vectors
from bench.report import BenchReport
from bench.shop import catalogue, stream, until
from bench.telling import Tell, silent
from events.topics import Topic
from models.deep_learner import DeepBatch, DeepLearner
from models.device import device_name, pick_device, pick_dtype
from models.learner_config import LearnerConfig
from models.pretrained import load_encoder
from models.ranker import Ranker, RankerConfig
from models.slate_loss import LossConfig, SlateLoss
from models.targets import Targets
from streams.building import ranker_config
from streams.settings import Settings

_SHOPPERS = 256
_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class TrainingStepConfig:
    """What is timed: each number of layers with each number of units."""

    layers: tuple[int, ...] = (2, 6)
    units: tuple[int, ...] = (8, 64, 256)
    events: int = 2_000  # of the shipped stream, learnt first
    rounds: int = 30
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.layers or not self.units or min(*self.layers, *self.units, self.events, self.rounds) < 1:
            raise ValueError(
                f"layers is {self.layers}, units {self.units}, events {self.events}, rounds {self.rounds}; "
                "all must be at least 1"
            )


def run_training_step(
    config: TrainingStepConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Medians over `rounds` steps on slates of the shipped stream, from arrays in memory to new weights."""
    device = pick_device(settings.learner.device)
    dtype = pick_dtype(settings.deep.train_dtype, device=device)
    settings = settings.updated(learner={"deep": False})
    offline = _learnt(config, settings=settings, tell=tell)
    rows: list[dict[str, Any]] = []
    for layers in config.layers:
        shape, ranker, deep = _deep_of(offline, settings=settings, layers=layers)
        learner = DeepLearner(
            ranker, deep, loss=SlateLoss(LossConfig()), task_weight=0.0, clip_norm=LearnerConfig().clip_norm
        )
        for units in config.units:
            shown = _shown(offline, ranker, units=units, seed=config.seed)
            chance = np.random.default_rng(config.seed)
            took = []
            for turn in range(-_WARM_UP, config.rounds):
                wait_for(device)
                started = perf_counter()
                stepped = learner.step(shown, units=units, generator=chance)
                wait_for(device)
                if stepped is None or stepped.skipped is not None:
                    raise BenchError(f"a step on {units} units was not taken: {stepped}")
                if turn >= 0:
                    took.append((perf_counter() - started) * 1e3)
            rows.append(_row(layers, units, took=took, shape=shape))
            tell(f"{layers} layers, {units} units: {rows[-1]['p50_ms']:.2f} ms")
    peak = measured_peak(device, dtype=dtype)
    for row in rows:
        row["share_of_peak"] = row["tflops"] * 1e12 / peak
    return BenchReport(
        name="training-step",
        figures={f"layers_{row['layers']}_units_{row['units']}": _figures(row) for row in rows},
        details={"measured_peak_tflops": peak / 1e12},
        settings={
            "device": device_name(device),
            "dtype": str(dtype).removeprefix("torch."),
            "history": shape.tokens - shape.candidates,
            "candidates": shape.candidates,
            "lora_rank": shape.lora_rank,
            "threads": settings.learner.threads,
            "rounds": config.rounds,
        },
        notes=(
            "from arrays in memory to new weights: tokens, forward, loss, backward, clipping, AdamW",
            "tflops counts the matrix products of forward and backward; the peak is one large square product in the "
            "same precision, measured here",
        ),
        machine=machine,
    )


def _learnt(config: TrainingStepConfig, *, settings: Settings, tell: Tell) -> Offline:
    events = list(stream(config.events))
    items = until(catalogue(), last_ms=events[-1].occurred_at)
    tell(f"encoding {len(items):,} titles, learning {len(events):,} events")
    offline = Offline(settings)
    offline.run(
        events, items=items, vectors=item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value)
    )
    return offline


def _deep_of(offline: Offline, *, settings: Settings, layers: int) -> tuple[Shape, Ranker, Any]:
    """A fresh ranker of `layers` layers with the wide part that was learnt, its transformer, and its sizes."""
    config: RankerConfig = ranker_config(settings.updated(learner={"deep": True}, deep={"layers": layers}))
    learnt = offline.learner.ranker
    ranker = Ranker(config, n_features=learnt.n_features, dim=learnt.dim)
    ranker.restore({**ranker.snapshot(), **learnt.snapshot()})
    deep, sizes = ranker.deep, config.deep
    if deep is None or sizes is None:
        raise BenchError("the ranker has no deep part")
    encoder = load_encoder(sizes.backbone, layers=layers).config
    shape = Shape(
        layers=layers,
        hidden=encoder.hidden_size,
        inner=encoder.intermediate_size,
        tokens=sizes.history + sizes.candidates,
        candidates=sizes.candidates,
        features=learnt.n_features,
        text_dim=learnt.dim,
        text_rank=sizes.text_rank,
        id_dim=sizes.id_dim,
        lora_rank=sizes.lora_rank,
        adapted=len(sizes.lora_targets),
    )
    return shape, ranker, deep


def _shown(offline: Offline, ranker: Ranker, *, units: int, seed: int) -> DeepBatch:
    """`units` slates of the latest shoppers, again and again where there are fewer, one good candidate in each."""
    users = list(offline.learning.states)[-_SHOPPERS:]
    view = offline.codec.view(offline.states_of(users), history=offline.learning.config.history)
    batch = offline.recommender.rank(view, now_ms=view.last_ms + 1).batch
    seen = ranker.view(batch)
    wide = ranker.wide_scores(seen)
    able = np.flatnonzero(seen.valid.sum(1) >= ranker.chosen(wide).shape[1])
    if not len(able):
        raise BenchError("no shopper has enough candidates; take more events")
    rows: NDArray[np.int64] = np.resize(able, units)
    shown = wide[rows]
    good = np.random.default_rng(seed).integers(ranker.chosen(wide).shape[1], size=units)
    gains = np.zeros(shown.shape, np.float32)
    gains[np.arange(units), ranker.chosen(shown)[np.arange(units), good]] = 1.0
    return DeepBatch(batch, offline.recommender.item_table(), seen, rows, shown, Targets(gains))


def _row(layers: int, units: int, *, took: list[float], shape: Shape) -> dict[str, Any]:
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    return {
        "layers": layers,
        "units": units,
        "p50_ms": p50,
        "p99_ms": p99,
        "units_per_s": units / p50 * 1e3,
        "tflops": training_flops(shape) * units / (median(took) / 1e3) / 1e12,
    }


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("layers", "units")}
