"""Users' states: a batch of B users is one (B, W) int64 array, and no Python object stands for a user.

Layout in state_layout.py, bytes in state_blobs.py, what events do in fold.py; `StateCodec` ties them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from events.columns import Kind
from events.flatten import EventColumns
from serving.fold import fold
from serving.state_blobs import new_states, pack, unpack
from serving.state_layout import (
    COUNT_BITS,
    COUNT_MAX,
    COUNTS,
    DECAYED,
    EVENTS,
    HISTORY_COUNT,
    HISTORY_SLOT,
    ITEM,
    ITEM_FIRST_MS,
    ITEM_LAST_MS,
    LAST_MS,
    ONE,
    PURCHASES,
    SESSION_ITEM,
    SESSION_KIND,
    SESSION_MS,
    SESSION_SLOT,
    USER,
    FoldConfig,
    StateLayout,
)

CONTEXTS = 4  # of StateView.contexts
_WARM_ITEMS = 5  # distinct items from which on a user counts as known


@dataclass(frozen=True, slots=True)
class StateView:
    """What a query needs of B users. Ids are stable_hashes; lists are most recent first and 0 pads.

    `session` are the current session's interactions, repeats kept; `history` the distinct items of all time.
    """

    users: NDArray[np.int64]  # (B,)
    last_ms: NDArray[np.int64]  # (B,) latest event time, 0 for a new user
    events: NDArray[np.int64]  # (B,) events applied
    purchases: NDArray[np.int64]  # (B,) purchase events
    distinct_items: NDArray[np.int64]  # (B,) filled history slots, T or not
    session: NDArray[np.int64]  # (B, L)
    session_times_ms: NDArray[np.int64]  # (B, L)
    session_kinds: NDArray[np.int8]  # (B, L)
    history: NDArray[np.int64]  # (B, T)
    history_first_ms: NDArray[np.int64]  # (B, T)
    history_last_ms: NDArray[np.int64]  # (B, T)
    history_kinds: NDArray[np.int8]  # (B, T) Kind of the last touch
    history_views: NDArray[np.float32]  # (B, T) clicks and carts, uncarts taken off
    history_purchases: NDArray[np.float32]  # (B, T) purchase events, refunds taken off
    history_decayed: NDArray[np.float32]  # (B, T) weighted frequency, decayed to history_last_ms

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[np.integer]) -> "StateView":
        """Some of the users: (n,) places in the batch."""
        return StateView(*(getattr(self, field.name)[rows] for field in fields(self)))

    def contexts(self, now_ms: NDArray[np.int64], *, session_gap_ms: int = 30 * 60_000) -> NDArray[np.int32]:
        """(B,) int32 below CONTEXTS: 1 for a session with a cart or purchase, still open at `now_ms` (B,),
        plus 2 for a user with at least five distinct items."""
        kinds = self.session_kinds
        buying = ((kinds == Kind.CART) | (kinds == Kind.PURCHASE)).any(axis=1)
        buying &= now_ms - self.last_ms <= session_gap_ms
        warm = self.distinct_items >= _WARM_ITEMS
        contexts: NDArray[np.int32] = (buying + 2 * warm).astype(np.int32)
        return contexts


@dataclass(frozen=True, slots=True)
class StateCodec:
    """Everything that is done with states, for one layout and one way of folding. Pure but for `fold`."""

    layout: StateLayout = field(default_factory=StateLayout)
    config: FoldConfig = field(default_factory=FoldConfig)

    def new(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, W) states of users (B,) of whom nothing is known yet."""
        return new_states(users, layout=self.layout)

    def pack(self, states: NDArray[np.int64], *, rows: NDArray[np.int64] | None = None) -> list[bytes]:
        """Blobs of (B, W) states, or of those at `rows` (k,); see `state_blobs.pack`."""
        return pack(states, layout=self.layout, rows=rows)

    def unpack(self, blobs: Sequence[bytes | None], *, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, W) states of users (B,), new for None; StateFormatError as in `state_blobs.unpack`."""
        return unpack(blobs, users=users, layout=self.layout)

    def fold(
        self,
        states: NDArray[np.int64],
        *,
        columns: EventColumns,
        positions: NDArray[np.int64],
        skip: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.bool_]:
        """(n,) which events were new; these change the (B, W) `states` of `columns.users` in place.

        As `fold.fold`. positions: (n, 3) int64 topic number, partition and offset, -1 where unknown.
        skip: (n,) bool, events to leave alone because they were applied before.
        """
        return fold(
            states,
            event_user=columns.event_user,
            event_ids=columns.event_ids,
            event_times_ms=columns.event_times_ms,
            event_positions=positions,
            skip=np.zeros(len(columns), np.bool_) if skip is None else skip,
            interactions=columns.interactions,
            layout=self.layout,
            config=self.config,
        )

    def view(self, states: NDArray[np.int64], *, history: int) -> StateView:
        """The (B, W) states as lists: sessions of L = layout.session, the `history` = T latest items."""
        layout = self.layout
        if not 1 <= history <= layout.history:
            raise ValueError(f"history is {history}; it must be from 1 to {layout.history}")
        users = len(states)
        session = states[:, layout.session_at : layout.history_at].reshape(
            users, layout.session, SESSION_SLOT
        )
        stop = layout.history_at + history * HISTORY_SLOT
        items = states[:, layout.history_at : stop].reshape(users, history, HISTORY_SLOT)
        counts = items[:, :, COUNTS]
        return StateView(
            users=states[:, USER].copy(),
            last_ms=states[:, LAST_MS].copy(),
            events=states[:, EVENTS].copy(),
            purchases=states[:, PURCHASES].copy(),
            distinct_items=states[:, HISTORY_COUNT].copy(),
            session=np.ascontiguousarray(session[:, :, SESSION_ITEM]),
            session_times_ms=np.ascontiguousarray(session[:, :, SESSION_MS]),
            session_kinds=session[:, :, SESSION_KIND].astype(np.int8),
            history=np.ascontiguousarray(items[:, :, ITEM]),
            history_first_ms=np.ascontiguousarray(items[:, :, ITEM_FIRST_MS]),
            history_last_ms=np.ascontiguousarray(items[:, :, ITEM_LAST_MS]),
            history_kinds=(counts >> 2 * COUNT_BITS).astype(np.int8),
            history_views=(counts & COUNT_MAX).astype(np.float32),
            history_purchases=(counts >> COUNT_BITS & COUNT_MAX).astype(np.float32),
            history_decayed=(items[:, :, DECAYED] / ONE).astype(np.float32),
        )
