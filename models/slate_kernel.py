"""The compiled loops behind models.slate and the bandit's choice: one pass per user, nothing allocated per slot.

Both lie in this file, because numba's cache only watches the caller's own.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LEAST = 1e-30  # utilities are above 0: odds may underflow
_ARM_STREAM = np.uint64(0x42414E444954)  # sets the draws of arms apart from the slates', which share the seed
_NEVER = -30.0  # log weight, against the best, below which an item is not drawn: once in 10^13 slots
_SMALL = -600.0  # log weight, against the one that weights are relative to, below which all are taken anew


@njit(nogil=True, cache=True)
def fill_slates(
    scores: NDArray[np.float32],
    tail: NDArray[np.bool_],
    young: NDArray[np.bool_],
    groups: NDArray[np.int32],
    bonuses: NDArray[np.float32],
    seeds: NDArray[np.uint64],
    gains: NDArray[np.float64],
    young_slots: int,
    temperature: float,
    positions: NDArray[np.int32],
    propensities: NDArray[np.float32],
) -> None:
    """Fill `positions` and `propensities`, both (B, k) and blank, as `make_slates` says.

    `gains` (k,): the entropy that the first, second, ... item of a group adds.
    """
    b, c = scores.shape
    k = positions.shape[1]
    odds = np.empty(c, dtype=np.float64)  # (C,) with the bonuses that do not change from slot to slot
    left = np.empty(c, dtype=np.int32)  # positions not chosen yet, the first n of them
    alike = np.empty(c, dtype=np.int32)  # (C,) how many chosen ones are of the same group
    utilities = np.empty(c, dtype=np.float64)  # (C,) in the slot to be filled
    weights = np.empty(c, dtype=np.float64)  # (C,) against `reference`; below 0 where to be taken anew
    floor = math.exp(_NEVER * temperature)
    lowest = math.exp(_SMALL * temperature)
    for u in range(b):
        n = _odds(scores[u], odds, left)
        of_tail, of_variety, of_young = float(bonuses[u, 0]), float(bonuses[u, 1]), float(bonuses[u, 2])
        lifted = of_young if young_slots > 0 else 0.0  # what the young get in this slot
        for place in range(n):
            at = left[place]
            alike[at] = 0
            if tail[u, at]:
                odds[at] += of_tail
            more = of_variety * gains[0] if groups[u, at] != 0 else 0.0
            utilities[at] = _utility(odds[at], more, lifted if young[u, at] else 0.0)
        state = seeds[u]
        shown = 0  # of the young
        reference = 0.0
        for slot in range(min(k, n)):
            best, chosen = -1.0, 0
            for place in range(n):
                if utilities[left[place]] > best:
                    best, chosen = utilities[left[place]], place
            probability = 1.0
            if temperature > 0:
                if slot == 0 or best < reference * lowest:
                    reference = best
                    weights[:] = -1.0
                total = 0.0
                for place in range(n):
                    at = left[place]
                    if utilities[at] > best * floor:
                        if weights[at] < 0:
                            weights[at] = math.exp(math.log(utilities[at] / reference) / temperature)
                        total += weights[at]
                state, uniform = _next_uniform(state)
                threshold = uniform * total
                for place in range(n):
                    if utilities[left[place]] > best * floor:
                        chosen = place
                        threshold -= weights[left[place]]
                        if threshold < 0:
                            break
                probability = weights[left[chosen]] / total
            took = left[chosen]
            positions[u, slot] = took
            propensities[u, slot] = probability
            n -= 1
            for place in range(chosen, n):  # in order, so that ties still go by position
                left[place] = left[place + 1]
            shown += 1 if young[u, took] else 0
            enough = lifted > 0 and shown >= young_slots
            if enough:
                lifted = 0.0
            group = groups[u, took] if of_variety > 0 else 0
            if not enough and group == 0:
                continue
            for place in range(n):
                at = left[place]
                like = group != 0 and groups[u, at] == group
                if like or (enough and young[u, at]):
                    alike[at] += 1 if like else 0
                    more = of_variety * gains[alike[at]] if groups[u, at] != 0 else 0.0
                    utilities[at] = _utility(odds[at], more, lifted if young[u, at] else 0.0)
                    weights[at] = -1.0


@njit(nogil=True, cache=True)
def _odds(scores: NDArray[np.float32], odds: NDArray[np.float64], left: NDArray[np.int32]) -> int:
    """Fill `odds` with the softmax of the finite scores and `left` with their positions; how many there are."""
    n = 0
    best = -np.inf
    for at in range(len(scores)):
        if np.isfinite(scores[at]):
            left[n] = at
            n += 1
            best = max(best, float(scores[at]))
    total = 0.0
    for place in range(n):
        at = left[place]
        odds[at] = math.exp(float(scores[at]) - best)
        total += odds[at]
    for place in range(n):
        odds[left[place]] /= total
    return n


@njit(nogil=True, cache=True)
def _utility(odds: float, of_variety: float, of_young: float) -> float:
    return max(odds + of_variety + of_young, _LEAST)


@njit(nogil=True, cache=True)
def _next_uniform(state: np.uint64) -> tuple[np.uint64, float]:
    """splitmix64 (Steele, Lea & Flood 2014): the next state and a uniform in [0, 1)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return state, float(mixed >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def draw_arms(
    probabilities: NDArray[np.float64],
    contexts: NDArray[np.int32],
    seeds: NDArray[np.uint64],
    arms: NDArray[np.int32],
    propensities: NDArray[np.float32],
) -> None:
    """Fill `arms` and `propensities` (B,) from the rows of `probabilities` (contexts, A), by one uniform of each seed,
    on a stream that is set apart from the slates', which share the seed."""
    last = probabilities.shape[1] - 1
    for b in range(len(contexts)):
        _, uniform = _next_uniform(seeds[b] ^ _ARM_STREAM)
        row = probabilities[contexts[b]]
        arm, bound = 0, row[0]
        while arm < last and bound <= uniform:
            arm += 1
            bound += row[arm]
        arms[b] = arm
        propensities[b] = row[arm]
