"""Folds events into users' states: one compiled pass over a batch, in log order.

What each kind does:

    IMPRESSION          counts, and keeps the session open
    CLICK, CART         session slot; history slot: views + 1, decayed frequency + weight
    PURCHASE            session slot; history slot: purchases + 1, decayed frequency + weight
    UNCART              history slot: views - 1, decayed frequency - cart weight; keeps the session open
    REFUND              history slot: purchases - 1, decayed frequency - purchase weight; no session activity
    none (a search)     keeps the session open

Counts never go below zero; UNCART and REFUND of an item without a slot change nothing. An item that occurs
twice in one event counts once. Frequencies decay in event time (Anderson et al., WWW 2014: the pull to repeat
a consumption falls with its age; here exponentially), in fixed point, so that every machine agrees.

Late events. An event before the session's last one joins it, in its time order, when it is no further than
the gap before its start and does not name another session; otherwise it only enters the history. An item's
first and last times are its minimum and maximum, and what a late event adds is decayed to the last one.
"""

import numpy as np
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from serving.decay import half_life_table
from serving.fold_kernels import fold_rows
from serving.state_layout import ONE, FoldConfig, StateLayout


def fold(
    states: NDArray[np.int64],
    *,
    event_user: NDArray[np.int32],
    event_ids: NDArray[np.int64],
    event_times_ms: NDArray[np.int64],
    event_positions: NDArray[np.int64],
    skip: NDArray[np.bool_],
    interactions: Interactions,
    layout: StateLayout,
    config: FoldConfig,
) -> NDArray[np.bool_]:
    """Which of n events were applied; `states` are changed in place, in log order.

    states: (B, W) int64. event_user: (n,) int32 row of `states`. event_ids: (n,) int64 stable_hash, 0 for
    none. event_times_ms: (n,) int64 > 0. event_positions: (n, 3) int64 topic number, partition and offset,
    -1 where unknown. skip: (n,) bool, events to leave alone. `interactions.events` numbers these events and
    never falls; its `users` are not read.

    An event whose id is among the user's last `layout.seen` ids changes nothing and is False. Folding a log
    in batches of any size leaves the same states. ValueError, with nothing changed, when shapes, rows, times
    or event numbers are out of range.
    """
    n = len(event_user)
    if states.shape[1:] != (layout.words,) or event_positions.shape != (n, 3):
        raise ValueError(
            f"states {states.shape} and event_positions {event_positions.shape}; "
            f"expected (B, {layout.words}) and ({n}, 3)"
        )
    if not len(event_ids) == len(event_times_ms) == len(skip) == n:
        raise ValueError(
            f"{n} event_user, {len(event_ids)} event_ids, {len(event_times_ms)} event_times_ms, "
            f"{len(skip)} skip; expected as many of each"
        )
    applied = np.zeros(n, dtype=np.bool_)
    weights = np.zeros(len(Kind), dtype=np.int64)
    weights[Kind.CLICK] = round(config.click_weight * ONE)
    weights[Kind.CART] = weights[Kind.UNCART] = round(config.cart_weight * ONE)
    weights[Kind.PURCHASE] = weights[Kind.REFUND] = round(config.purchase_weight * ONE)
    bad = fold_rows(
        states,
        event_user,
        event_ids,
        event_times_ms,
        event_positions,
        skip,
        interactions.items,
        interactions.kinds,
        interactions.sessions,
        interactions.events,
        applied,
        layout.seen,
        layout.session,
        layout.history,
        config.session_gap_ms,
        config.half_life_ms,
        weights,
        half_life_table(),
    )
    if bad >= 0:
        raise ValueError(
            f"event {bad} of {n}: its user row must be from 0 to {len(states) - 1}, its time above 0, "
            "and the interactions' event numbers in order and below the number of events"
        )
    return applied
