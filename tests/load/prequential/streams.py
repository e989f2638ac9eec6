"""Small streams whose units are known by construction, and contenders that processes of their own can make."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from load.errors import LoadError
from load.prequential.contender import Contender, Factory, Query, Repeat, StreamInfo, Unit

START_MS = 1_700_000_000_000
MINUTE_MS = 60_000


def write_baskets(path: Path, *, baskets: int = 120, users: int = 12, items: int = 40, seed: int = 3) -> Path:
    """Purchases: every user has some favourites, so that counting what a user bought finds some of them."""
    rng = np.random.default_rng(seed)
    favourites = [rng.choice(items, size=6, replace=False) for _ in range(users)]
    rows = []
    for at in range(baskets):
        user = int(rng.integers(users))
        chosen = np.append(rng.choice(favourites[user], size=3, replace=False), rng.integers(items))
        for item in chosen.tolist():
            rows.append((START_MS + at * MINUTE_MS, f"u{user}", f"i{item}", f"red thing {item % 7} {item}"))
    ts, buyers, bought, texts = zip(*rows, strict=True)
    table = {"ts": ts, "user": buyers, "item": bought, "event": ["purchase"] * len(ts), "text": texts}
    pq.write_table(pa.table(table | {"qty": [2] * len(ts), "price": [1.5] * len(ts)}), path)
    return path


class Popular:
    """Recommends what is in most units so far, ties by code."""

    def __init__(self, info: StreamInfo, *, name: str = "popular") -> None:
        self.name = name
        self._counts = np.zeros(info.n_items, np.int64)

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:  # noqa: ARG002
        best = np.argsort(-self._counts, kind="stable")[:k]
        return best[self._counts[best] > 0]

    def learn(self, unit: Unit, /) -> None:
        self._counts[unit.items] += 1

    def see(self, repeat: Repeat, /) -> None:
        """Counts units only."""


class Scripted:
    """Says what it is told to, unit by unit."""

    name = "scripted"

    def __init__(self, answers: list[NDArray[np.int64]]) -> None:
        self._answers = answers

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:  # noqa: ARG002
        return self._answers[query.index]

    def learn(self, unit: Unit, /) -> None:
        """Learns nothing."""

    def see(self, repeat: Repeat, /) -> None:
        """Learns nothing."""


class Shuffled(Popular):
    """Popular in an order of chance, so that a run shows its seed."""

    def __init__(self, info: StreamInfo, *, seed: int) -> None:
        super().__init__(info, name="shuffled")
        self._rng = np.random.default_rng(seed)

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        return self._rng.permutation(super().recommend(query, k=k))


class Mistaken(Popular):
    """Breaks down at unit 5."""

    def learn(self, unit: Unit, /) -> None:
        if unit.index == 5:
            raise LoadError("nothing more fits in")
        super().learn(unit)


@dataclass(frozen=True)
class Book:
    """A FactoryOf for these contenders."""

    def __call__(self, name: str) -> Factory:
        def make(info: StreamInfo, seed: int) -> Contender:
            match name:
                case "popular":
                    return Popular(info)
                case "shuffled":
                    return Shuffled(info, seed=seed)
                case "mistaken":
                    return Mistaken(info, name="mistaken")
            raise LoadError(f"nothing is called {name}")

        return make
