"""The compiled loop behind models.slate: one pass per user, nothing allocated per slot."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SAME_CATEGORY = 0.5  # similarity of two items of one category where one of them has no text
_LEAST_SPREAD = 1e-6  # a pool whose scores differ less than this is taken as tied


@njit(nogil=True, cache=True)
def fill_slates(
    scores: NDArray[np.float32],
    items: NDArray[np.int32],
    is_new: NDArray[np.bool_],
    mmr_lambda: NDArray[np.float32],
    explore: NDArray[np.bool_],
    codes: NDArray[np.uint16],
    categories: NDArray[np.int32],
    seeds: NDArray[np.uint64],
    pool: int,
    explore_pool: int,
    explore_slot: NDArray[np.bool_],
    temperature: float,
    explore_temperature: float,
    positions: NDArray[np.int32],
    propensities: NDArray[np.float32],
    explored: NDArray[np.bool_],
) -> None:
    """Fill `positions`, `propensities` and `explored`, all (B, k) and blank, as `make_slates` says.

    `codes` are the bits of the float16 vectors (N, D); `explore_slot` is (k,).
    """
    b, c = scores.shape
    k = positions.shape[1]
    d = codes.shape[1]
    w_max = min(c, pool + explore_pool)  # W: candidates at work, the pool first, then new ones beyond it
    work = np.empty(w_max, dtype=np.int32)  # (W,) their positions
    relevance = np.empty(w_max, dtype=np.float64)  # (W,)
    nearest = np.empty(w_max, dtype=np.float64)  # (W,) largest similarity to what was chosen
    taken = np.empty(w_max, dtype=np.bool_)  # (W,)
    weights = np.empty(w_max, dtype=np.float64)  # (W,)
    gathered = np.empty((w_max, d), dtype=np.float32)  # (W, D)
    has_text = np.empty(w_max, dtype=np.bool_)  # (W,)
    for u in range(b):
        order = np.argsort(-scores[u], kind="mergesort")  # ties by position; NaN last
        w, in_pool = 0, 0
        for place in range(c):
            at = order[place]
            if not np.isfinite(scores[u, at]):
                continue
            if in_pool < pool:
                in_pool += 1
            elif not (explore[u] and is_new[u, at]) or w >= w_max:
                continue
            work[w] = at
            w += 1
        if w == 0:
            continue
        _standardise(scores[u], work, w, in_pool, relevance)
        nearest[:w] = 0.0
        taken[:w] = False
        strength = float(mmr_lambda[u])
        if strength > 0:
            for i in range(w):
                has_text[i] = _widen(codes[items[u, work[i]]], gathered[i])
        state = seeds[u]
        for slot in range(k):
            lifts = False
            if explore[u] and explore_slot[slot]:
                for i in range(w):
                    if is_new[u, work[i]] and not taken[i]:
                        lifts = True
                        break
            heat = explore_temperature if lifts else temperature
            reach = w if lifts else in_pool
            best, at_best = -np.inf, -1
            for i in range(reach):
                eligible = not taken[i] and (not lifts or is_new[u, work[i]])
                weights[i] = relevance[i] - strength * nearest[i] if eligible else -np.inf
                if weights[i] > best:
                    best, at_best = weights[i], i
            if at_best < 0:
                break
            chosen, probability = at_best, 1.0
            if heat > 0:
                total = 0.0
                for i in range(reach):
                    weights[i] = _weight(weights[i], best, heat)
                    total += weights[i]
                state, uniform = _next_uniform(state)
                threshold = uniform * total
                for i in range(reach):
                    if weights[i] > 0:
                        chosen = i
                        threshold -= weights[i]
                        if threshold < 0:
                            break
                probability = weights[chosen] / total
            taken[chosen] = True
            positions[u, slot] = work[chosen]
            propensities[u, slot] = probability
            explored[u, slot] = lifts
            if strength > 0 and slot + 1 < k:
                for i in range(w):
                    if not taken[i]:
                        if has_text[i] and has_text[chosen]:
                            near = _dot(gathered[i], gathered[chosen])
                        else:
                            own = categories[items[u, work[i]]]
                            same = own > 0 and own == categories[items[u, work[chosen]]]
                            near = _SAME_CATEGORY if same else 0.0
                        nearest[i] = max(nearest[i], near)


@njit(nogil=True, cache=True)
def _standardise(
    scores: NDArray[np.float32],
    work: NDArray[np.int32],
    w: int,
    in_pool: int,
    relevance: NDArray[np.float64],
) -> None:
    """relevance[:w] = (score - best) / the pool's standard deviation."""
    mean = 0.0
    for i in range(in_pool):
        mean += scores[work[i]]
    mean /= in_pool
    variance = 0.0
    for i in range(in_pool):
        variance += (scores[work[i]] - mean) ** 2
    spread = math.sqrt(variance / in_pool)
    for i in range(w):
        gap = float(scores[work[i]]) - float(scores[work[0]])
        relevance[i] = gap / spread if spread > _LEAST_SPREAD else gap


@njit(nogil=True, cache=True)
def _weight(utility: float, best: float, heat: float) -> float:
    """exp((utility - best) / heat), 0 for -inf; 1 at infinite heat."""
    if utility == -np.inf:
        return 0.0
    return math.exp((utility - best) / heat)


@njit(nogil=True, cache=True)
def _next_uniform(state: np.uint64) -> tuple[np.uint64, float]:
    """splitmix64 (Steele, Lea & Flood 2014): the next state and a uniform in [0, 1)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return state, float(mixed >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _widen(codes: NDArray[np.uint16], out: NDArray[np.float32]) -> bool:
    """float16 bits (D,) to float32 (D,); False where all are zero. Finite values only.

    The bits move 13 places up and the exponent's bias is made good by a multiplication, which is right for
    subnormals too; the compiler turns it into vector code, which a call per number would not be.
    """
    bits = out.view(np.uint32)
    some = np.uint32(0)
    for i in range(len(codes)):
        code = np.uint32(codes[i])
        some |= code & np.uint32(0x7FFF)
        bits[i] = ((code & np.uint32(0x7FFF)) << np.uint32(13)) | (
            (code & np.uint32(0x8000)) << np.uint32(16)
        )
    for i in range(len(out)):
        out[i] *= np.float32(2.0**112)
    return bool(some != 0)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Inner product; the order of the sum is the compiler's."""
    total = np.float32(0.0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return float(total)
