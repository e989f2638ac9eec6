"""The two passes of session kNN: which sessions are alike, and what they vote for."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def find_sessions(
    own: int,
    items: NDArray[np.int64],
    weights: Floats,
    sample: int,
    group: NDArray[np.int32],
    earlier: NDArray[np.int32],
    last_of_item: NDArray[np.int32],
    likeness: Floats,
    counted: NDArray[np.int64],
    shared_rank: NDArray[np.int32],
    found: NDArray[np.int32],
    counter: NDArray[np.int64],
) -> int:
    """Sums each session's weight of shared items into `likeness`; how many sessions are in `found`."""
    n = 0
    first = counter[0]
    for rank in range(len(items)):
        marked = first + rank + 1
        taken = 0
        event = last_of_item[items[rank]]
        while event >= 0 and taken < sample:
            session = group[event]
            if session != own and counted[session] != marked:
                if counted[session] <= first:
                    found[n] = session
                    n += 1
                    likeness[session] = 0.0
                    shared_rank[session] = rank
                counted[session] = marked
                likeness[session] += weights[rank]
                taken += 1
            event = earlier[event]
    counter[0] = first + len(items) + 1
    return n


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def vote_for_items(
    n_found: int,
    neighbours: int,
    now_ms: int,
    age_decay_ms: float,
    cosine: bool,
    place_decay: float,
    idf: float,
    log_sessions: float,
    read: int,
    items: NDArray[np.int64],
    shared_weights: Floats,
    item: NDArray[np.int32],
    step: NDArray[np.int32],
    before: NDArray[np.int32],
    last_of_group: NDArray[np.int32],
    distinct: NDArray[np.int32],
    times: NDArray[np.int32],
    last_ms: NDArray[np.int64],
    likeness: Floats,
    shared_rank: NDArray[np.int32],
    found: NDArray[np.int32],
    totals: Floats,
    touched: NDArray[np.int32],
    mark: NDArray[np.int64],
    listed: NDArray[np.int64],
    counter: NDArray[np.int64],
) -> int:
    """Adds the most alike sessions' votes into `totals`; how many items are in `touched`."""
    alike = np.empty(n_found, np.float64)
    for at in range(n_found):
        session = found[at]
        alike[at] = likeness[session] * math.exp(-(now_ms - last_ms[session]) / age_decay_ms)
        if cosine:
            alike[at] /= math.sqrt(distinct[session])
    order = np.argsort(-alike, kind="mergesort") if n_found > neighbours else np.arange(n_found)
    query = counter[0]
    n = 0
    for at in order[:neighbours]:
        session = found[at]
        shared = items[shared_rank[session]]
        vote = alike[at] * shared_weights[shared_rank[session]]
        place = -1
        event = last_of_group[session]
        while event >= 0:
            if item[event] == shared:
                place = step[event]
                break
            event = before[event]
        counter[1] += 1
        event = last_of_group[session]
        for _ in range(read):
            if event < 0:
                break
            i = item[event]
            if mark[i] != counter[1]:
                mark[i] = counter[1]
                if listed[i] != query:
                    listed[i] = query
                    touched[n] = i
                    n += 1
                score = vote * math.exp(-abs(step[event] - place) / place_decay)
                if idf > 0.0:
                    score *= 1.0 + idf * max(log_sessions - math.log(times[i]), 0.0)
                totals[i] += score
            event = before[event]
    return n
