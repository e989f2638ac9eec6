"""A few slates that every adapter has to score before it serves: finite, and in time."""

from time import perf_counter

import numpy as np

from models.batch import RankBatch
from models.errors import AdapterError, InputError, Refusal
from models.ranker import Ranker

_USERS = 4
_TRIES = 3


class Probe:
    """Made-up slates of one ranker's shape, the same every time. The wide part is asked: the deep part serves
    as many users as its time allows."""

    def __init__(self, ranker: Ranker, *, candidates: int, limit_ms: float) -> None:
        """`limit_ms`: what the slates may take together, at best of a few tries; 0: any time."""
        rng = np.random.default_rng(1)
        self._limit_ms = limit_ms
        self._slates = RankBatch(
            candidates=np.tile(np.arange(1, candidates + 1, dtype=np.int32), (_USERS, 1)),
            features=rng.normal(size=(_USERS, candidates, ranker.n_features)).astype(np.float32),
            history=np.zeros((_USERS, 1), np.int32),
            history_kinds=np.zeros((_USERS, 1), np.int8),
            history_ages_ms=np.zeros((_USERS, 1), np.int64),
        )

    def check(self, ranker: Ranker) -> float:
        """How many ms the slates took; AdapterError when scores are not finite or take longer than they may."""
        best_ms = np.inf
        for _ in range(_TRIES):
            started = perf_counter()
            try:
                view = ranker.view(self._slates)
                scores = ranker.wide_scores(view)
            except InputError as error:
                raise AdapterError(f"it cannot score: {error}", refusal=Refusal.NOT_FINITE) from error
            best_ms = min(best_ms, (perf_counter() - started) * 1e3)
        if not (
            np.isfinite(scores).all() and np.isfinite(ranker.wide.score_rows_in_float32(view.inputs)).all()
        ):
            raise AdapterError("it scores what is not finite", refusal=Refusal.NOT_FINITE)
        if self._limit_ms and best_ms > self._limit_ms:
            raise AdapterError(
                f"it takes {best_ms:.1f} ms for {_USERS} slates; {self._limit_ms:g} are allowed",
                refusal=Refusal.SLOW,
            )
        return float(best_ms)
