"""Metrics against their definitions, written out unit by unit."""

import math

import numpy as np
import pytest

from load.prequential.scoring import CUTS, target_metrics, target_ranks, unit_metrics
from load.prequential.units import Units

N_ITEMS = 60


def units_of(answers: list[list[int]]) -> Units:
    n = len(answers)
    zeros = np.zeros(n, np.int64)
    items = np.array([item for answer in answers for item in answer], np.int64)
    ends = np.cumsum([len(answer) for answer in answers])
    return Units(np.arange(n), zeros, zeros, zeros, zeros, items, ends)


def by_definition(answer: list[int], shown: list[int], k: int) -> dict[str, float]:
    hits = [rank for rank, item in enumerate(shown[:k], start=1) if item in answer]
    best = min(k, len(answer))
    return {
        f"recall@{k}": len(hits) / best,
        f"ndcg@{k}": sum(1 / math.log2(rank + 1) for rank in hits)
        / sum(1 / math.log2(rank + 1) for rank in range(1, best + 1)),
        f"mrr@{k}": 1 / hits[0] if hits else 0.0,
        f"hitrate@{k}": float(bool(hits)),
    }


@pytest.fixture(scope="module")
def case() -> tuple[list[list[int]], list[list[int]]]:
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 40, size=200)
    answers = [rng.choice(N_ITEMS, size=size, replace=False).tolist() for size in sizes]
    lengths = rng.integers(0, 21, size=200)
    shown = [rng.choice(N_ITEMS, size=length, replace=False).tolist() for length in lengths]
    return answers, shown


def lists_of(shown: list[list[int]]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    lists = np.full((len(shown), 20), -1, np.int32)
    for row, items in enumerate(shown):
        lists[row, : len(items)] = items
    return lists


def test_every_metric_of_every_unit_is_as_defined(case: tuple[list[list[int]], list[list[int]]]) -> None:
    answers, shown = case
    units = units_of(answers)
    found = unit_metrics(target_ranks(lists_of(shown), units=units, n_items=N_ITEMS), units=units)
    for at, (answer, list_) in enumerate(zip(answers, shown, strict=True)):
        for k in CUTS:
            for name, value in by_definition(answer, list_, k).items():
                assert found[name][at] == pytest.approx(value), (at, name)
    assert found["recall@20"].max() <= 1 + 1e-12


def test_a_target_is_found_at_its_place_or_not(case: tuple[list[list[int]], list[list[int]]]) -> None:
    answers, shown = case
    units = units_of(answers)
    ranks = target_ranks(lists_of(shown), units=units, n_items=N_ITEMS)
    expected = [
        list_.index(item) if item in list_ else -1
        for answer, list_ in zip(answers, shown, strict=True)
        for item in answer
    ]
    assert ranks.tolist() == expected
    share = np.mean([0 <= rank < 10 for rank in expected])
    assert target_metrics(ranks)["recall@10"].mean() == pytest.approx(share)


def test_empty_lists_score_nothing() -> None:
    units = units_of([[1, 2], [3]])
    ranks = target_ranks(np.full((2, 20), -1, np.int32), units=units, n_items=N_ITEMS)
    assert ranks.tolist() == [-1, -1, -1]
    assert all(not values.any() for values in unit_metrics(ranks, units=units).values())
