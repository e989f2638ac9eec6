"""Items whose text is close to what the shopper looks at: finds what no event has told of yet."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import copied, fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.catalogue import Catalogue
from index.sources.query_items import Lookback, weigh_query
from index.sources.topk import add_to, best_of, clear, worse

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.int32], NDArray[np.float32]]]
"""(Q, D) unit vectors, n -> (Q, n) item rows best first, 0 pads, and their inner products (Q, n)."""

Lock = AbstractContextManager[Any]
FREE: Lock = nullcontext()
"""The lock of arrays that no other thread reads."""

_SPARE = 8  # neighbours that are looked at beyond those that are kept
_ROUNDING = 1e-4  # more than an index's sums differ by
_MOST_ALIKE = 1_024  # beyond as many items of one text, which of them are kept is the index's choice


class TextNeighbours:
    """Content-based item kNN (Lops et al., Recommender Systems Handbook 2011), each item's neighbours kept.

    A FAISS search per query would cost more than all other sources together, so the m nearest items of each
    item are searched once, when its vector arrives, and kept: `arrived` marks rows, `refresh` searches a
    bounded number of them and puts each into its neighbours' lists as well, so that an old item finds a new
    one at once. When nothing is waiting, `refresh` goes round the catalogue, which mends what changed since.

    A query's items are the latest of session and history (by `lookback`); a candidate's score is the sum of
    weight * similarity. The inner product with a mean is the mean of
    the inner products, so this ranks by closeness to the last items and to the session's and history's
    weighted means at once.
    """

    name = "text_neighbours"

    def __init__(
        self,
        limits: Limits,
        *,
        catalogue: Catalogue,
        search: Search,
        n: int = 100,
        kept: int = 32,
        least: float = 0.3,
        lookback: Lookback = Lookback(items=16, session_decay=3.0, history_weight=0.3),
    ) -> None:
        if n < 1 or kept < 1 or not 0 < least < 1:
            raise ValueError(f"n {n}, kept {kept}, least {least}; expected n and kept >= 1, least in (0, 1)")
        self.n, self.least = n, least
        self._session_weights, self._history_weights = lookback.session_weights(), lookback.history_weights()
        self._history_weight = lookback.history_weight
        self._catalogue, self._search = catalogue, search
        self.neighbours = np.zeros((limits.items, kept), np.int32)  # (N, m) best first, 0 pads
        self.similarity = np.zeros((limits.items, kept), np.float32)  # (N, m)
        self._waiting = np.zeros(limits.items, np.bool_)
        self._next = np.zeros(1, np.int64)  # the row at which the round goes on
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls
        self._touched = np.zeros(lookback.items * kept + 1, np.int32)  # scratch
        self._seen = np.zeros(limits.items, np.bool_)  # scratch, False between calls

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: texts do not change by clicks."""

    def arrived(self, items: NDArray[np.int32]) -> None:
        """These rows (R,) have a new vector, or lost theirs."""
        self._waiting[items] = True

    @property
    def waiting(self) -> int:
        """How many rows wait for their neighbours."""
        return int(self._waiting.sum())

    def refresh(self, *, limit: int = 64, lock: Lock = FREE) -> int:
        """Search the neighbours of at most `limit` rows, waiting ones first (by row); returns how many.

        `lock` is held while what others read is written, not while neighbours are searched: the vectors are written
        by nobody but the thread that calls this.
        """
        rows = np.flatnonzero(self._waiting)[:limit].astype(np.int32)
        if len(rows) == 0:
            with_text = np.flatnonzero(self._catalogue.has_text)
            at = int(np.searchsorted(with_text, self._next[0]))
            rows = with_text[at : at + limit].astype(np.int32)
            self._next[0] = rows[-1] + 1 if at + limit < len(with_text) else 0
        self._waiting[rows] = False
        for lost in rows[~self._catalogue.has_text[rows]]:
            with lock:
                self.evict(np.array([lost], np.int32))
        rows = rows[self._catalogue.has_text[rows]]
        if len(rows) == 0:
            return 0
        found, similarity = self._nearest(rows)
        with lock:
            _keep(rows, found, similarity, self.least, self.neighbours, self.similarity)
        return len(rows)

    def _nearest(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(R, m + 1) rows and similarities, best first, ties by lower row: a function of the vectors alone.

        An index tells ties, and what rounding makes ties of, apart by where it keeps them, which a restart
        changes. So it is asked for more than is kept, until the last is clearly less similar than what is kept,
        and what it found is measured again.
        """
        kept = self.neighbours.shape[1] + 1
        queries = self._catalogue.vectors[rows].astype(np.float32)
        n = kept + _SPARE
        while True:
            found, similarity = self._search(queries, n)
            apart = (found[:, -1] == 0) | (similarity[:, -1] < similarity[:, kept - 1] - _ROUNDING)
            if n >= _MOST_ALIKE or apart.all():
                break
            n *= 2
        _measure(queries, self._catalogue.vectors[found].astype(np.float32), found, similarity)
        order = np.lexsort((found, -similarity))[:, :kept]
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(similarity, order, axis=1)

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        _propose(query.session, query.history, query.history_last_ms, self._session_weights, self._history_weights,
                 self._history_weight, self.neighbours, self.similarity, self._totals, self._seen,
                 self._touched, ids, scores)  # fmt: skip
        return ids, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these rows, as items and as neighbours."""
        self.neighbours[items] = 0
        self.similarity[items] = 0
        self._waiting[items] = False
        gone = np.zeros(len(self.neighbours), np.bool_)
        gone[items] = True
        gone[0] = False
        _drop(gone, self.neighbours, self.similarity)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """Lists, waiting rows and the place in the round."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill(self._arrays(), arrays, owner=self.name)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "neighbours": self.neighbours,
            "similarity": self.similarity,
            "waiting": self._waiting,
            "next": self._next,
        }


@njit(nogil=True, cache=True)
def _measure(queries: F32, vectors: NDArray[np.float32], found: I32, similarity: F32) -> None:
    """Inner products of (Q, D) queries and (Q, n, D) vectors, each summed in one order; 0 where nothing was found."""
    for q in range(len(queries)):
        for k in range(found.shape[1]):
            total = 0.0
            if found[q, k] != 0:
                for d in range(queries.shape[1]):
                    total += float(queries[q, d]) * float(vectors[q, k, d])
            similarity[q, k] = total


@njit(nogil=True, cache=True)
def _keep(rows: I32, found: I32, similarity: F32, least: float, neighbours: I32, kept: F32) -> None:
    for r in range(len(rows)):
        neighbours[rows[r]] = 0
        kept[rows[r]] = 0
    for r in range(len(rows)):
        for k in range(found.shape[1]):
            other = found[r, k]
            if other == 0 or other == rows[r] or similarity[r, k] < least:
                continue
            _put(neighbours[rows[r]], kept[rows[r]], other, similarity[r, k])
            _put(neighbours[other], kept[other], rows[r], similarity[r, k])


@njit(nogil=True, cache=True)
def _put(neighbours: I32, kept: F32, item: int, similarity: float) -> None:
    """Put `item` into one sorted list, in place of its older entry or of the least similar one."""
    last = len(neighbours) - 1
    at = 0
    while at < last and neighbours[at] != item and neighbours[at] != 0:
        at += 1
    if (
        neighbours[at] != item
        and neighbours[at] != 0
        and not worse(kept[at], neighbours[at], similarity, item)
    ):
        return
    while at < last and neighbours[at + 1] != 0 and worse(similarity, item, kept[at + 1], neighbours[at + 1]):
        neighbours[at], kept[at] = neighbours[at + 1], kept[at + 1]
        at += 1
    while at > 0 and (
        kept[at - 1] < similarity or (kept[at - 1] == similarity and neighbours[at - 1] > item)
    ):
        neighbours[at], kept[at] = neighbours[at - 1], kept[at - 1]
        at -= 1
    neighbours[at], kept[at] = item, similarity


@njit(nogil=True, cache=True)
def _drop(gone: NDArray[np.bool_], neighbours: I32, kept: F32) -> None:
    for row in range(len(neighbours)):
        if neighbours[row, 0] == 0:
            continue
        to = 0
        for at in range(neighbours.shape[1]):
            if not gone[neighbours[row, at]] and neighbours[row, at] != 0:
                neighbours[row, to], kept[row, to] = neighbours[row, at], kept[row, at]
                to += 1
        neighbours[row, to:] = 0
        kept[row, to:] = 0


@njit(nogil=True, cache=True)
def _propose(
    session: I32,
    history: I32,
    history_ms: NDArray[np.int64],
    session_weights: F64,
    history_weights: F64,
    history_weight: float,
    neighbours: I32,
    kept: F32,
    totals: F64,
    seen: NDArray[np.bool_],
    touched: I32,
    ids: I32,
    scores: F32,
) -> None:
    start, weights = np.empty(len(session_weights), np.int32), np.empty(len(session_weights), np.float64)
    for b in range(len(session)):
        size, _ = weigh_query(
            session[b],
            history[b],
            history_ms[b],
            session_weights,
            history_weights,
            history_weight,
            seen,
            start,
            weights,
        )
        count = 0
        for place in range(size):
            item = start[place]
            for k in range(neighbours.shape[1]):
                if neighbours[item, k] == 0:
                    break
                amount = weights[place] * kept[item, k]
                count = add_to(totals, touched, count, neighbours[item, k], amount)
        best_of(touched, count, totals, ids[b], scores[b])
        clear(totals, touched, count)
