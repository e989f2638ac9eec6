"""A hundred candidates of one shopper: our ranker beside a cross-encoder that reads the same texts.

The cross-encoder is the text encoder's own transformer, all of its layers, with a linear head on the first
token: trained or not, it costs the same. Each pair is the title of the shopper's latest item and the title of a
candidate, the shortest text that a cross-encoder could be given here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.machine import Machine
from bench.offline import Offline, item_vectors
from bench.report import BenchReport, Goal
from bench.shop import catalogue, stream, until
from bench.telling import Tell, silent
from events.topics import Topic
from models.batch import RankBatch
from models.device import device_name, pick_device, pick_dtype
from models.pretrained import load_encoder, load_tokenizer
from streams.settings import Settings

_MAX_TOKENS = 128
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class RerankConfig:
    """How much is learnt first, how many candidates, how often each side is timed."""

    candidates: int = 100
    events: int = 2_000
    rounds: int = 30
    batches: tuple[int, ...] = (1, 32)  # requests that are scored together

    def __post_init__(self) -> None:
        if self.candidates < 10 or self.events < 1 or self.rounds < 1:
            raise ValueError(
                f"candidates is {self.candidates}, events {self.events}, rounds {self.rounds}; "
                "expected at least 10, 1 and 1"
            )
        if not self.batches or min(self.batches) < 1:
            raise ValueError(f"batches is {self.batches}; each must be at least 1")


class CrossEncoder:
    """Scores pairs of texts with the encoder's transformer and a linear head on the first token."""

    def __init__(self, name: str, *, device: str, dtype: torch.dtype, seed: int = 7) -> None:
        self._device = pick_device(device)
        self._tokenizer = load_tokenizer(name)
        self._model = load_encoder(name).to(device=self._device, dtype=dtype)
        generator = torch.Generator().manual_seed(seed)
        self._head = torch.randn(int(self._model.config.hidden_size), generator=generator).to(
            device=self._device, dtype=dtype
        )
        self.layers = int(self._model.config.num_hidden_layers)

    def tokens(self, query: str, texts: Sequence[str]) -> Any:
        """The pairs (query, text), padded to the longest."""
        return self._tokenizer(
            [query] * len(texts),
            list(texts),
            padding="longest",
            truncation=True,
            max_length=_MAX_TOKENS,
            return_tensors="pt",
        ).to(self._device)

    def score(self, tokens: Any) -> NDArray[np.float32]:
        """(n,) float32."""
        with torch.inference_mode():
            first = self._model(**tokens).last_hidden_state[:, 0]  # (n, D)
            scores: NDArray[np.float32] = (first @ self._head).float().cpu().numpy()
        return scores


def run_rerank(
    config: RerankConfig, *, settings: Settings, machine: Machine, tell: Tell = silent
) -> BenchReport:
    """Medians of both sides, timed by turns in one process on the same candidates."""
    settings = settings.updated(
        serving={
            "candidates": config.candidates,
            "deep_candidates": min(settings.serving.deep_candidates, config.candidates),
        },
        learner={"deep": True},
    )
    offline, ranked, titles = _slates(config, settings=settings, tell=tell)
    ranker = offline.learner.ranker
    if ranker.deep is None:
        raise BenchError("the ranker has no deep part")
    device = pick_device(settings.learner.device)
    dtype = pick_dtype("auto", device=device)
    cross = CrossEncoder(settings.learner.encoder, device=settings.learner.device, dtype=dtype)
    table = offline.recommender.item_table()
    times: dict[str, list[float]] = {name: [] for name in ("ours", "wide", "tokenise", "forward")}
    widths = []
    tell(f"{config.rounds} rounds over {len(ranked)} shoppers")
    for turn in range(-_WARM_UP, config.rounds):
        batch, (query, texts) = ranked[turn % len(ranked)], titles[turn % len(ranked)]
        marks = [perf_counter()]
        ranker.score(batch, table, deep=True)
        marks.append(perf_counter())
        ranker.wide_scores(ranker.view(batch))
        marks.append(perf_counter())
        tokens = cross.tokens(query, texts)
        marks.append(perf_counter())
        cross.score(tokens)
        marks.append(perf_counter())
        if turn >= 0:
            for name, ms in zip(times, np.diff(marks) * 1e3, strict=True):
                times[name].append(float(ms))
            widths.append(int(tokens["input_ids"].shape[1]))
    batched = {}
    for size in config.batches:
        tell(f"{config.rounds} batches of {size}")
        batched[f"batch_{size}"] = _batched(offline, ranked, size=size, rounds=config.rounds)
    return _report(
        config,
        times,
        widths,
        batched=batched,
        settings=settings,
        machine=machine,
        cross=cross,
        on=f"{device_name(device)}, {str(dtype).removeprefix('torch.')}",
    )


def _batched(offline: Offline, ranked: Sequence[RankBatch], *, size: int, rounds: int) -> dict[str, float]:
    """Requests a second where `size` shoppers are scored together, and how long each of them waits for it."""
    ranker, table = offline.learner.ranker, offline.recommender.item_table()
    took = []
    for turn in range(-_WARM_UP, rounds):
        batch = _together([ranked[(turn * size + at) % len(ranked)] for at in range(size)])
        started = perf_counter()
        ranker.score(batch, table, deep=True)
        if turn >= 0:
            took.append((perf_counter() - started) * 1e3)
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    return {"p50_ms": p50, "p99_ms": p99, "requests_per_s": size / p50 * 1e3}


def _together(batches: Sequence[RankBatch]) -> RankBatch:
    parts = (np.concatenate([getattr(batch, part.name) for batch in batches]) for part in fields(RankBatch))
    return RankBatch(*parts)


def _slates(
    config: RerankConfig, *, settings: Settings, tell: Tell
) -> tuple[Offline, list[RankBatch], list[tuple[str, list[str]]]]:
    """The trained parts, batches of one shopper with all candidates there, and the texts of each."""
    events = list(stream(config.events))
    items = until(catalogue(), last_ms=events[-1].occurred_at)
    tell(f"encoding {len(items):,} titles")
    vectors = item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value)
    offline = Offline(settings)
    offline.run(events, items=items, vectors=vectors, tell=tell)
    users = list(offline.learning.states)[-256:]
    view = offline.codec.view(offline.states_of(users), history=offline.learning.config.history)
    ranked = offline.recommender.rank(view, now_ms=view.last_ms + 1)
    names = offline.sources.catalogue
    batches, titles = [], []
    for row in range(len(users)):
        batch = _one(ranked.batch, row)
        found, latest = batch.candidates[0], int(batch.history[0, 0])
        if (found > 0).all() and latest > 0:
            batches.append(batch)
            titles.append((names.titles[latest], [names.titles[item] for item in found.tolist()]))
    if not batches:
        raise BenchError(
            f"no shopper has {config.candidates} candidates after {config.events} events; take more events"
        )
    return offline, batches, titles


def _one(batch: RankBatch, row: int) -> RankBatch:
    only = slice(row, row + 1)
    return RankBatch(
        candidates=batch.candidates[only],
        features=batch.features[only],
        history=batch.history[only],
        history_kinds=batch.history_kinds[only],
        history_ages_ms=batch.history_ages_ms[only],
    )


def _report(
    config: RerankConfig,
    times: dict[str, list[float]],
    widths: list[int],
    *,
    batched: dict[str, dict[str, float]],
    settings: Settings,
    machine: Machine,
    cross: CrossEncoder,
    on: str,
) -> BenchReport:
    ours = median(times["ours"])
    theirs = median(np.add(times["tokenise"], times["forward"]).tolist())
    return BenchReport(
        name="rerank",
        figures={"ours_ms": ours, "cross_encoder_ms": theirs, "ratio": theirs / ours, **batched},
        goals=(Goal("ratio", 50, at_least=True),),
        details={
            "wide_ms": median(times["wide"]),
            "cross_encoder_forward_ms": median(times["forward"]),
            "cross_encoder_tokenise_ms": median(times["tokenise"]),
            "ratio_without_tokenising": median(times["forward"]) / ours,
            "pair_tokens": median(widths),
        },
        settings={
            "candidates": config.candidates,
            "deep_candidates": settings.serving.deep_candidates,
            "cross_encoder_layers": cross.layers,
            "layers": settings.deep.layers,
            "device": on,
            "threads": settings.learner.threads,
            "events": config.events,
            "rounds": config.rounds,
        },
        notes=(
            "ours: the wide part on every candidate and the transformer on the best deep_candidates of them, as "
            "served; features and text vectors are given. The cross-encoder reads (title of the latest item, "
            "title of the candidate) and tokenises them, as it would have to. Medians, sides taking turns. batch_n: "
            "n requests scored together, each of which waits for all of them",
        ),
        machine=machine,
    )
