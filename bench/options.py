"""What each option of the transformer and its training brings: one learner each over the same recorded units."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import Machine
from bench.offline import item_vectors
from bench.options_catalogue import BASE, Option, chosen
from bench.recorded import RecordedStep, Recording, record
from bench.report import BenchReport
from bench.shop import catalogue, stream, until
from bench.telling import Tell, silent
from events.topics import Topic
from events.types import AnyUserEvent, CatalogueItem
from models.contrastive import ContrastiveConfig, pretrain
from models.learner import Learner
from models.metrics import rank_metrics
from models.ranker import Scores
from models.together import pairs_of, sessions
from streams.building import learner_config, ranker_config
from streams.settings import Settings

_PAIRS_A_BASKET = 4


@dataclass(frozen=True, slots=True)
class OptionsConfig:
    """How much of the shipped stream, which options, and how often the transformer learns in all of them."""

    events: int = 8_000
    only: str = ""
    deep_every: int = (
        1  # batches: more than the product's default, so that effects show on a part of a stream
    )
    deep_units: int = 16
    past: float = 0.2  # share of the events that `pretrained` trains on; the second half is measured
    pretrain_steps: int = 150
    k: int = 20

    def __post_init__(self) -> None:
        if self.events < 100 or not 0 < self.past <= 0.5 or self.pretrain_steps < 1 or self.k < 1:
            raise ValueError(
                f"OptionsConfig needs events >= 100 (got {self.events}), 0 < past <= .5 (got {self.past}), "
                f"pretrain_steps >= 1 (got {self.pretrain_steps}) and k >= 1 (got {self.k})"
            )


@dataclass(frozen=True, slots=True)
class _Run:
    """What a learner did on the measured units, and the processor time that it took."""

    total: NDArray[np.float64]  # (n, 4) loss, recall, NDCG, MRR of both parts
    wide: NDArray[np.float64]  # (n, 4) of the wide part
    learn_s: float
    score_s: float
    deep_steps: int
    scored: int


def run_options(
    config: OptionsConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Every option's learner over the same units: means over the second half, beside the wide part alone."""
    options = chosen(config.only)
    events = list(stream(config.events))
    items = until(catalogue(), last_ms=events[-1].occurred_at)
    often = settings.updated(
        learner={"deep": True}, deep={"every": config.deep_every, "units": config.deep_units}
    )
    tell(f"recording {len(events):,} events")
    plain = _recorded(events, items, settings=often)
    tell(f"{plain.units:,} units in {len(plain.steps):,} steps; the wide part alone, for its time")
    alone = run_learner(plain, settings=often.updated(learner={"deep": False}), config=config)
    rows: list[dict[str, Any]] = []
    for number, (name, option) in enumerate(options.items(), start=1):
        tell(f"{number} of {len(options)}: {name} ({option})")
        recording, changed = plain, often.updated(**option.changes)
        with tempfile.TemporaryDirectory() as folder:
            if option.pretrain:
                changed = _pretrained(events, items, settings=changed, config=config, folder=Path(folder))
                recording = _recorded(events, items, settings=changed)
            run = run_learner(recording, settings=changed, config=config)
        rows.append(_row(name, option, run=run, alone=alone))
        tell(_line(rows[-1]))
    return BenchReport(
        name="options",
        figures={"options": {str(row["option"]): _figures(row) for row in rows}},
        details={"rows": rows, "measured_units": len(alone.wide), "units": plain.units},
        settings={
            "stream": "the shipped cut of UCI Online Retail II",
            "events": len(events),
            "deep_every": config.deep_every,
            "deep_units": config.deep_units,
            "pretrained_on": f"the first {config.past:.0%} of the events, {config.pretrain_steps} steps",
        },
        notes=(
            "every unit is predicted before it is learnt from; means over the second half's units of known shoppers",
            "gain is wide + transformer over the wide part on the same units, its standard error beside it",
            f"loss_gain: the same of the listwise loss, below 0 is better; {BASE} is the settings as configured",
            "step_ms and forward_ms are processor time of this process, so that others on the machine count little",
        ),
        machine=machine,
    )


def run_learner(recording: Recording, *, settings: Settings, config: OptionsConfig) -> _Run:
    """One learner over the recorded steps, every unit scored by both parts in the second half."""
    learning = learner_config(settings)
    learner = Learner(
        ranker_config(settings),
        replace(learning, prequential=replace(learning.prequential, deep_sample_every=1)),
        n_features=recording.n_features,
        dim=recording.table.vectors.shape[1],
    )
    half = len(recording.steps) // 2
    told: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    learn_s = score_s = 0.0
    deep_steps = scored = 0
    for number, step in enumerate(recording.steps):
        if number >= half:
            started = time.process_time()
            scores = learner.validate(step.batch, recording.table, gains=step.gains, relevant=step.relevant)
            score_s += time.process_time() - started
            scored += len(step.batch)
            told.append(_measured(scores, step=step, k=config.k))
        started = time.process_time()
        report = learner.learn(step.batch, recording.table, gains=step.gains, labels=step.labels)
        learn_s += time.process_time() - started
        deep_steps += report.deep_loss is not None
    total, wide = (np.concatenate(parts) for parts in zip(*told, strict=True))
    return _Run(total, wide, learn_s, score_s, deep_steps, scored)


def _measured(
    scores: Scores, *, step: RecordedStep, k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 4) loss, recall, NDCG and MRR of both parts, and of the wide part, of the units that count."""
    counted = step.relevant > 0
    both = []
    for part in (scores.total, scores.wide):
        metrics = rank_metrics(part, gains=step.gains, k=k, relevant=step.relevant)
        columns = (_loss(part, gains=step.gains), metrics.recall, metrics.ndcg, metrics.mrr)
        both.append(np.stack(columns, axis=1)[counted].astype(np.float64))
    return both[0], both[1]


def _loss(scores: NDArray[np.float32], *, gains: NDArray[np.float32]) -> NDArray[np.float64]:
    """(B,) listwise cross-entropy, 0 where nothing right is among the candidates."""
    there = np.isfinite(scores)
    shifted = np.where(there, scores - scores.max(1, keepdims=True), -np.inf).astype(np.float64)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    right = (gains > 0) & there
    losses: NDArray[np.float64] = -np.where(right, log_p, 0.0).sum(1) / np.maximum(right.sum(1), 1)
    return losses


def _row(name: str, option: Option, *, run: _Run, alone: _Run) -> dict[str, Any]:
    gain = run.total - run.wide  # (n, 4)
    error = gain.std(axis=0) / max(len(gain), 1) ** 0.5
    total, wide, mean = run.total.mean(axis=0), run.wide.mean(axis=0), gain.mean(axis=0)
    return {
        "option": name,
        "settings": str(option),
        "loss": total[0],
        "loss_gain": mean[0],
        "recall@20": total[1],
        "recall_gain": mean[1],
        "recall_gain_error": error[1],
        "ndcg_gain": mean[2],
        "ndcg_gain_error": error[2],
        "mrr@20": total[3],
        "mrr_gain": mean[3],
        "mrr_gain_error": error[3],
        "wide_recall@20": wide[1],
        "wide_mrr@20": wide[3],
        "step_ms": 1e3 * (run.learn_s - alone.learn_s) / max(run.deep_steps, 1),
        "forward_ms": 1e3 * (run.score_s - alone.score_s) / max(run.scored, 1),
        "deep_steps": run.deep_steps,
    }


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    names = ("recall@20", "recall_gain", "mrr_gain", "loss_gain", "step_ms", "forward_ms")
    return {name: row[name] for name in names}


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['option']}: recall {row['recall@20']:.4f} ({row['recall_gain']:+.4f} ± {row['recall_gain_error']:.4f}), "
        f"MRR {row['mrr@20']:.4f} ({row['mrr_gain']:+.4f}), step {row['step_ms']:.1f} ms, "
        f"forward {row['forward_ms']:.2f} ms a shopper"
    )


def _recorded(
    events: Sequence[AnyUserEvent], items: Sequence[CatalogueItem], *, settings: Settings
) -> Recording:
    vectors = item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value)
    return record(events, settings=settings, items=items, vectors=vectors)


def _pretrained(
    events: Sequence[AnyUserEvent],
    items: Sequence[CatalogueItem],
    *,
    settings: Settings,
    config: OptionsConfig,
    folder: Path,
) -> Settings:
    """The settings with an encoder trained on the first events, saved in `folder`."""
    past = events[: round(config.past * len(events))]
    before = [item for item in until(items, last_ms=past[-1].occurred_at) if item.text()]
    known = {str(item.item_id): at for at, item in enumerate(before)}
    groups = sessions(past, gap_ms=settings.sources.session_gap_ms)
    found = pairs_of(groups, known=known, per_group=_PAIRS_A_BASKET, seed=settings.learner.seed)
    contrastive = ContrastiveConfig(
        encoder=settings.learner.encoder,
        steps=config.pretrain_steps,
        seed=settings.learner.seed,
        threads=settings.learner.threads,
    )
    trained = pretrain([item.text() for item in before], pairs=found, config=contrastive)
    trained.save(folder / "encoder")
    return settings.updated(learner={"encoder": str(folder / "encoder")})
