"""What a run's lists are like beyond being right: how much of the catalogue they show, and how evenly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from load.prequential.texts import entropies, list_distances
from load.prequential.units import Known, Units

_BLOCKS = 100  # counts so far are taken at the start of each
HEAD_SHARE = 0.2  # of the items, the most popular so far; the rest is the long tail


@dataclass(frozen=True, slots=True, eq=False)
class ItemFacts:
    """What is known of N items for this: TF-IDF vectors (N, V) or None; groups (N,), -1 none, or None."""

    vectors: Any = None
    groups: NDArray[np.int64] | None = None
    groups_are: str = ""  # "category", or "topic" where they were found in the texts


def beyond_accuracy(
    lists: NDArray[np.int32], *, units: Units, known: Known, n_items: int, facts: ItemFacts
) -> dict[str, float]:
    """Figures over the counted units' lists (n, K).

    coverage: share of the items of the stream so far that were shown at all. gini: of the exposure over those
    items; 0 is even, 1 is one item. novelty: mean of -log2(share of units that had the item), in bits (Zhou et
    al., PNAS 2010). tail_exposure: share of the places given to the long tail, the last 80 % of the items by
    popularity so far. list_distance, category_entropy (or topic_entropy): means over lists; left out where
    nothing is known of the items.
    """
    counted = np.flatnonzero(known.counted)
    shown = lists[counted]
    exposure = np.bincount(shown[shown >= 0], minlength=n_items)
    ever = np.bincount(units.items, minlength=n_items) > 0
    reach = ever | (exposure > 0)
    bits, tail = _popularity_of_places(lists, units=units, counted=counted, n_items=n_items)
    figures = {
        "coverage": float((exposure > 0).sum() / max(1, reach.sum())),
        "gini": gini(exposure[reach].astype(np.float64)),
        "novelty_bits": bits,
        "tail_exposure": tail,
        "list_length": float((shown >= 0).sum(1).mean()) if len(shown) else float("nan"),
    }
    if facts.vectors is not None:
        figures["list_distance"] = _mean(list_distances(shown, vectors=facts.vectors))
    if facts.groups is not None:
        figures[f"{facts.groups_are}_entropy_bits"] = _mean(entropies(shown, groups=facts.groups))
    return figures


def gini(counts: NDArray[np.float64]) -> float:
    """Gini coefficient of counts (N,) >= 0; 0 where all are 0.

    >>> gini(np.array([5.0, 5.0])), round(gini(np.array([0.0, 0.0, 0.0, 1.0])), 2)
    (0.0, 0.75)
    """
    total = counts.sum()
    if total == 0:
        return 0.0
    n = len(counts)
    ranks = np.arange(1, n + 1)
    return float((2 * ranks - n - 1) @ np.sort(counts) / (n * total))


def _popularity_of_places(
    lists: NDArray[np.int32], *, units: Units, counted: NDArray[np.int64], n_items: int
) -> tuple[float, float]:
    """Mean novelty in bits, and the long tail's share, of the places that the counted lists give."""
    counts = np.zeros(n_items, np.int64)
    done, places, bits, tail = 0, 0, 0.0, 0
    for block in np.array_split(counted, min(_BLOCKS, max(1, len(counted)))):
        if not len(block):
            continue
        start = int(block[0])
        first = int(units.ends[done - 1]) if done else 0
        last = int(units.ends[start - 1]) if start else 0
        counts += np.bincount(units.items[first:last], minlength=n_items)
        done = start
        head = np.zeros(n_items, np.bool_)
        n_head = int(np.ceil(HEAD_SHARE * (counts > 0).sum()))
        head[np.argsort(-counts, kind="stable")[:n_head]] = True
        shown = lists[block]
        items = shown[shown >= 0]
        places += len(items)
        tail += int((~head[items]).sum())
        bits += float(-np.log2(np.maximum(counts[items], 1) / max(1, start)).sum())
    return (bits / places, tail / places) if places else (float("nan"), float("nan"))


def _mean(values: NDArray[np.float64]) -> float:
    told = values[np.isfinite(values)]
    return float(told.mean()) if len(told) else float("nan")
