"""Events of the reference as the arrays that the kernel takes, and random streams of them."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from serving.fold import fold
from serving.state_layout import FoldConfig, StateLayout
from tests.serving.fold_reference import Event

DAY_MS = 86_400_000
START_MS = 1_323_420_060_000


def columns_of(events: Sequence[Event]) -> Interactions:
    rows = [(number, event, item) for number, event in enumerate(events) for item in event.items]
    return Interactions(
        users=np.array([event.user for _, event, _ in rows], np.int64),
        items=np.array([item for _, _, item in rows], np.int64),
        kinds=np.array([event.kind for _, event, _ in rows], np.int8),
        times_ms=np.array([event.time_ms for _, event, _ in rows], np.int64),
        quantities=np.ones(len(rows), np.float32),
        sessions=np.array([event.session_id for _, event, _ in rows], np.int64),
        events=np.array([number for number, _, _ in rows], np.int32),
    )


def fold_events(
    states: NDArray[np.int64], events: Sequence[Event], *, layout: StateLayout, config: FoldConfig
) -> list[bool]:
    """Fold into `states`, whose row of user u is u."""
    return fold(
        states,
        event_user=np.array([event.user for event in events], np.int32),
        event_ids=np.array([event.event_id for event in events], np.int64),
        event_times_ms=np.array([event.time_ms for event in events], np.int64),
        event_positions=np.array([event.position for event in events], np.int64).reshape(len(events), 3),
        skip=np.zeros(len(events), np.bool_),
        interactions=columns_of(events),
        layout=layout,
        config=config,
    ).tolist()


def event_streams(*, users: int = 2, items: int = 9) -> st.SearchStrategy[list[Event]]:
    """Up to 60 events of few users and items, so that they meet; times are late, equal or far too."""
    steps = st.sampled_from([0, 1, 1_000, 60_000, 29 * 60_000, 31 * 60_000, DAY_MS, 70 * DAY_MS])
    back = st.sampled_from([0, 0, 0, 0, 1, 60_000, 25 * 60_000, 3 * DAY_MS])

    def number(drawn: list[tuple[int, int, int, int, Kind, list[int], int]]) -> list[Event]:
        events, now_ms = [], START_MS
        for at, (user, event_id, step_ms, late_ms, kind, bought, session_id) in enumerate(drawn):
            now_ms += step_ms
            events.append(
                Event(user, event_id, now_ms - late_ms, kind, bought, session_id, position=(at % 5, user, at))
            )
        return events

    kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.PAD])
    event = st.tuples(
        st.integers(0, users - 1),
        st.integers(0, 40),
        steps,
        back,
        kinds,
        st.lists(st.integers(1, items), max_size=4),
        st.integers(0, 2),
    )
    return st.lists(event, max_size=60).map(number)
