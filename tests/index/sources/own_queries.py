"""Random queries with full histories, for sources and features that read them."""

import numpy as np
from hypothesis import strategies as st

from events.columns import Kind
from index.sources.base import Query


def random_query(
    seed: int, *, users: int, items: int, session: int = 6, history: int = 7, remembered: int = 7
) -> Query:
    """B = `users` shoppers with distinct history items below `items`; some lists are empty or have holes. Items
    from place `remembered` on are left aside."""
    rng = np.random.default_rng(seed)
    now = 1_700_000_000_000
    ids = np.array([rng.permutation(np.arange(1, items))[:history] for _ in range(users)], np.int32)
    filled = rng.integers(0, history + 1, users)
    ids[np.arange(history) >= filled[:, None]] = 0
    ids[rng.random(ids.shape) < 0.1] = 0
    last = now - rng.integers(-1000, 100 * 86_400_000, ids.shape)
    first = last - rng.integers(0, 50 * 86_400_000, ids.shape)
    views = rng.integers(0, 4, ids.shape).astype(np.float32)
    bought = rng.integers(-1, 4, ids.shape).astype(np.float32)
    in_session = rng.integers(0, items, (users, session)).astype(np.int32)
    in_session[rng.random(users) < 0.3] = 0
    return Query(
        users=rng.integers(0, 5, users).astype(np.int32),
        now_ms=np.full(users, now, np.int64),
        session=in_session,
        session_times_ms=np.zeros((users, session), np.int64),
        session_kinds=rng.integers(Kind.CLICK, Kind.PURCHASE + 1, in_session.shape).astype(np.int8),
        history=np.where(np.arange(history) < remembered, ids, 0).astype(np.int32),
        left_aside=np.where(np.arange(history) < remembered, 0, ids).astype(np.int32),
        history_last_ms=last,
        history_first_ms=first,
        history_views=views,
        history_purchases=bought,
        history_decayed=(views * 0.2 + np.maximum(bought, 0)).astype(np.float32),
    )


SEEDS = st.integers(0, 2**32 - 1)
