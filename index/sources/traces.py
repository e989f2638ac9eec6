"""The log's recent past as bounded rings: learnt once, read by many sources.

Every ring is written at `count % length`, where `count` is how many entries were ever appended, so the last
`min(count, length)` entries are there and the newest is at `(count - 1) % length`. A ring slot whose item
or user row was evicted reads 0: readers skip zeros.

Sessions are numbered by a serial that only grows (1, 2, …) and live in row `(serial - 1) % (S - 1) + 1`, so
a new session takes the place of the oldest one. `item_sessions` keeps serials, not rows: a serial older than
the last S - 1 is forgotten, and `placing.session_row` tells by arithmetic alone.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from index.snapshot import copied, fill, total_bytes
from index.sources.base import LearnBatch, Limits
from index.sources.placing import blank_items, blank_users, place_rows


class Traces:
    """Sessions, users' and items' latest interactions, by row. Row 0 of every array is padding.

    Only CLICK, CART and PURCHASE enter the rings and the counts; every one does, also a repeat of the same
    item (a cart after a click is news), so readers that want distinct items collapse them. Session and user
    rings are in log order; event times may be out of order in them.

    - `session_items` (S, L) int32, `session_times` (S, L) int64 ms, `session_kinds` (S, L) int8;
      `session_count` (S,) int64 items ever appended, `session_user` (S,) int32 (0 once the user is evicted),
      `session_last_ms` (S,) int64 latest event time; `last_serial` (1,) int64
    - `user_items` (U, H) int32, `user_times` (U, H) int64 ms, `user_kinds` (U, H) int8, `user_count` (U,)
      int64, `user_session` (U,) int32 current session row (0 where none), `user_last_ms` (U,) int64,
      `user_session_id` (U,) int64 the id hash that the current session was given, 0 where none was
    - `item_sessions` (N, K) int64 session serials, `item_session_count` (N,) int64; `item_users` (N, V)
      int32, `item_user_count` (N,) int64: consecutive equal entries are stored once
    - `item_count` (N,) int64 interactions, `item_first_ms` (N,) int64 earliest event time of any kind, 0
      where never seen
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        items, users, sessions = limits.items, limits.users, limits.sessions
        length, kept = limits.session_length, limits.user_items
        self.session_items = np.zeros((sessions, length), np.int32)
        self.session_times = np.zeros((sessions, length), np.int64)
        self.session_kinds = np.zeros((sessions, length), np.int8)
        self.session_count = np.zeros(sessions, np.int64)
        self.session_user = np.zeros(sessions, np.int32)
        self.session_last_ms = np.zeros(sessions, np.int64)
        self.last_serial = np.zeros(1, np.int64)
        self.user_items = np.zeros((users, kept), np.int32)
        self.user_times = np.zeros((users, kept), np.int64)
        self.user_kinds = np.zeros((users, kept), np.int8)
        self.user_count = np.zeros(users, np.int64)
        self.user_session = np.zeros(users, np.int32)
        self.user_last_ms = np.zeros(users, np.int64)
        self.user_session_id = np.zeros(users, np.int64)
        self.item_sessions = np.zeros((items, limits.item_sessions), np.int64)
        self.item_session_count = np.zeros(items, np.int64)
        self.item_users = np.zeros((items, limits.item_users), np.int32)
        self.item_user_count = np.zeros(items, np.int64)
        self.item_count = np.zeros(items, np.int64)
        self.item_first_ms = np.zeros(items, np.int64)
        self._session_fresh = np.zeros(sessions, np.int64)
        self._user_fresh = np.zeros(users, np.int64)

    @property
    def session_window(self) -> int:
        """How many session items before a row of a LearnBatch are surely still in the ring: L - L // 2."""
        return self.limits.session_length - self.limits.session_length // 2

    @property
    def user_window(self) -> int:
        """How many of the user's interactions before a row are surely still in the ring: H - H // 2."""
        return self.limits.user_items - self.limits.user_items // 2

    @property
    def nbytes(self) -> int:
        return total_bytes(self._arrays()) + self._session_fresh.nbytes + self._user_fresh.nbytes

    def place(
        self,
        users: NDArray[np.int32],
        *,
        items: NDArray[np.int32],
        kinds: NDArray[np.int8],
        times_ms: NDArray[np.int64],
        quantities: NDArray[np.float32],
        events: NDArray[np.int32],
        session_ids: NDArray[np.int64],
    ) -> Iterator[LearnBatch]:
        """Append E interactions to the rings in log order; yields them as consecutive LearnBatches.

        All arrays are (E,); users and items are rows, `session_ids` are hashes with 0 for none. Before it
        goes on to the next batch, the caller lets every source learn the one it got:

            for batch in traces.place(users, items=…):
                for source in sources:
                    source.learn(batch)

        A batch ends where going on would overwrite what one of its rows may look back at: the
        `session_window` items before it in its session and the `user_window` before it of its user. That is
        why learning does not depend on how a log is cut (and why sources may look back no further). Most
        often all E rows come as one batch.

        A session starts when the user's last event is more than `session_gap_ms` older, or the session id
        differs from the one the session was given. Event times that fall back by up to the gap change
        nothing; a larger fall is taken as the new time, so that one wrong clock cannot hold a session open.

        `session_at` and `user_at` count what came before; the row itself is at `session_at % L` and
        `user_at % H`. Other kinds get the user's current session (0 if it is over) and the counts, and enter
        nothing; rows with user or item 0 get session 0 and are counted nowhere.
        """
        rows = len(users)
        session_rows = np.zeros(rows, np.int32)
        session_at = np.zeros(rows, np.int64)
        user_at = np.zeros(rows, np.int64)
        start = 0
        while start < rows:
            stop = int(
                place_rows(
                    start,
                    users,
                    items,
                    kinds,
                    times_ms,
                    session_ids,
                    session_rows,
                    session_at,
                    user_at,
                    self.limits.session_gap_ms,
                    self.session_items,
                    self.session_times,
                    self.session_kinds,
                    self.session_count,
                    self.session_user,
                    self.session_last_ms,
                    self.last_serial,
                    self.user_items,
                    self.user_times,
                    self.user_kinds,
                    self.user_count,
                    self.user_session,
                    self.user_last_ms,
                    self.user_session_id,
                    self.item_sessions,
                    self.item_session_count,
                    self.item_users,
                    self.item_user_count,
                    self.item_count,
                    self.item_first_ms,
                    self._session_fresh,
                    self._user_fresh,
                )
            )
            cut = slice(start, stop)
            yield LearnBatch(
                users=users[cut],
                items=items[cut],
                kinds=kinds[cut],
                times_ms=times_ms[cut],
                quantities=quantities[cut],
                events=events[cut],
                sessions=session_rows[cut],
                session_at=session_at[cut],
                user_at=user_at[cut],
            )
            start = stop

    def evict_items(self, rows: NDArray[np.int32]) -> None:
        """Forget these item rows ((k,) int32) everywhere; their ring slots read 0."""
        gone = np.zeros(self.limits.items, np.bool_)
        gone[rows] = True
        blank_items(gone, self.session_items, self.session_times, self.session_kinds)
        blank_items(gone, self.user_items, self.user_times, self.user_kinds)
        for array in (self.item_sessions, self.item_users):
            array[rows] = 0
        for counts in (self.item_session_count, self.item_user_count, self.item_count, self.item_first_ms):
            counts[rows] = 0

    def evict_users(self, rows: NDArray[np.int32]) -> None:
        """Forget these user rows ((k,) int32) everywhere; their sessions stay, as nobody's."""
        gone = np.zeros(self.limits.users, np.bool_)
        gone[rows] = True
        gone[0] = False
        blank_users(gone, self.item_users)
        self.session_user[gone[self.session_user]] = 0
        for ring in (self.user_items, self.user_times, self.user_kinds):
            ring[rows] = 0
        for values in (self.user_count, self.user_session, self.user_last_ms, self.user_session_id):
            values[rows] = 0

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as arrays that this object does not share."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill(self._arrays(), arrays, owner="traces")

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and not name.startswith("_")
        }
