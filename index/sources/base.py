"""What every candidate source takes and gives: rows, batches, queries and the Source protocol.

Rows: items and users are dense int32 rows; row 0 is padding and never a real item or user.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process remembers. Every array of every source is allocated once, from these."""

    items: int = 32_768  # N: item rows, row 0 included
    users: int = 65_536  # U: user rows, row 0 included
    sessions: int = 131_072  # S: session rows, row 0 included
    session_length: int = 60  # L: items kept of a session (the latest)
    user_items: int = 128  # H: interactions kept of a user (the latest)
    item_sessions: int = 256  # K: sessions kept of an item (the latest)
    item_users: int = 128  # V: users kept of an item (the latest)
    neighbours: int = 64  # M: co-visitation slots of an item
    session_gap_ms: int = 30 * 60_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 2:
                raise ValueError(f"Limits.{name} is {getattr(self, name)}; it must be at least 2")


@dataclass(frozen=True, slots=True)
class LearnBatch:
    """E interactions in log order, with the places that `Traces.place` gave them in the shared rings."""

    users: NDArray[np.int32]  # (E,) user rows
    items: NDArray[np.int32]  # (E,) item rows
    kinds: NDArray[np.int8]  # (E,) events.columns.Kind
    times_ms: NDArray[np.int64]  # (E,)
    quantities: NDArray[np.float32]  # (E,)
    events: NDArray[np.int32]  # (E,) number of the event within the batch; one basket shares it
    sessions: NDArray[np.int32]  # (E,) session rows
    session_at: NDArray[np.int64]  # (E,) how many items the session had before this one
    user_at: NDArray[np.int64]  # (E,) how many interactions the user had before this one


@dataclass(frozen=True, slots=True)
class Query:
    """B users as they are now. Most recent first in both lists; 0 pads.

    `session` are the interactions of the current session, repeats kept; `history` are the user's distinct
    items over all time, the current session's included.
    """

    users: NDArray[np.int32]  # (B,) user rows, 0 where the user was never seen by the sources
    now_ms: NDArray[np.int64]  # (B,) event time of the query
    session: NDArray[np.int32]  # (B, L)
    session_times_ms: NDArray[np.int64]  # (B, L)
    session_kinds: NDArray[np.int8]  # (B, L)
    history: NDArray[np.int32]  # (B, T) those that count
    left_aside: NDArray[np.int32]  # (B, T) those that don't for now (SourceSet.query), each in its place
    history_last_ms: NDArray[np.int64]  # (B, T) last interaction with the item
    history_first_ms: NDArray[np.int64]  # (B, T) first interaction with the item
    history_views: NDArray[np.float32]  # (B, T) clicks and carts of the item
    history_purchases: NDArray[np.float32]  # (B, T) purchase events of the item, refunds taken off
    history_decayed: NDArray[np.float32]  # (B, T) frequency of the item, decayed to last_ms

    def __len__(self) -> int:
        return len(self.users)

    @property
    def whole_history(self) -> NDArray[np.int32]:
        """(B, T) what is in history and what was left aside."""
        return self.history + self.left_aside  # a place is 0 in at least one of them


class Source(Protocol):
    """One way to find candidates.

    `learn` and `propose` are called from one thread at a time, never at once; `learn` in log order. Both are
    deterministic functions of the state and the arguments; neither changes its arguments. Learning a log in
    batches of any size leaves the same state. Memory is allocated in the constructor and never grows.
    """

    @property
    def name(self) -> str: ...

    def learn(self, batch: LearnBatch) -> None:
        """Fold E interactions in."""

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) item rows and their scores > 0, best first, ties by lower row; 0 pads both."""

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these item rows everywhere: they are about to stand for other items."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as arrays that the source does not share."""

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError (index/errors.py) when names, shapes or dtypes differ."""
