"""What the simplest rankers would have found of the units that the learner predicts: sliding means."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from index.sources.base import Query
from index.sources.popularity import Popularity
from models.metrics import SlidingWindow, rank_metrics
from serving.baselines import hits_of, personal_frequency, recent_popularity

BASELINES = ("recent_popularity", "personal_frequency")


class BaselineWindows:
    """Recall@k and MRR@k of each baseline over the last `window` units of shoppers seen before."""

    def __init__(self, *, window: int, k: int) -> None:
        self._k = k
        self._windows = {
            f"{name}.{metric}": SlidingWindow(window) for name in BASELINES for metric in ("recall", "mrr")
        }

    def compare(
        self,
        query: Query,
        popularity: Popularity,
        *,
        targets: list[NDArray[np.int32]],
        relevant: NDArray[np.int64],
        warm: NDArray[np.bool_],
    ) -> None:
        """Rank for the B shoppers of `query`. targets: their items as rows, -1 for one without a row; relevant
        (B,) how many those are; warm (B,) whose figures count."""
        lists = {
            "recent_popularity": recent_popularity(popularity, users=len(query), k=self._k),
            "personal_frequency": personal_frequency(query, popularity, k=self._k),
        }
        places = np.tile(-np.arange(self._k, dtype=np.float32), (len(query), 1))
        for name, items in lists.items():
            hits = hits_of(items, targets=targets)
            metrics = rank_metrics(places[:, : items.shape[1]], gains=hits, k=self._k, relevant=relevant)
            self._windows[f"{name}.recall"].push(metrics.recall[warm])
            self._windows[f"{name}.mrr"].push(metrics.mrr[warm])

    def report(self) -> dict[str, dict[str, float]]:
        """By baseline: recall@k, mrr@k and units."""
        return {
            name: {
                f"recall@{self._k}": self._windows[f"{name}.recall"].mean,
                f"mrr@{self._k}": self._windows[f"{name}.mrr"].mean,
                "units": float(len(self._windows[f"{name}.recall"])),
            }
            for name in BASELINES
        }

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The windows as arrays of their own."""
        return {
            f"window.{name}.{part}": array
            for name, window in self._windows.items()
            for part, array in window.snapshot().items()
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take what `snapshot` gave, from among others."""
        for name, window in self._windows.items():
            prefix = f"window.{name}."
            window.restore({k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)})
