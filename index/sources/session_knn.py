"""Session kNN: what sessions like this one had near the items that they share with it."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.placing import session_row
from index.sources.query_items import Lookback, weigh_query
from index.sources.topk import add_to, best_of, clear
from index.sources.traces import Traces


@dataclass(frozen=True, slots=True)
class SessionKnnConfig:
    """The weights of STAN, and how much work a query may be."""

    sessions_per_item: int = 32  # of the last K sessions of an item, the latest so many are looked at
    neighbours: int = 50  # sessions that vote
    age_decay_ms: float = 90 * 86_400_000.0  # a session of age a weighs exp(-a / age_decay_ms)
    place_decay: float = 2.0  # places: an item d places from the shared one weighs exp(-d / place_decay)
    lookback: Lookback = field(
        default_factory=lambda: Lookback(items=20, session_decay=1.5, history_weight=0.02)
    )

    def __post_init__(self) -> None:
        for name in ("sessions_per_item", "neighbours", "age_decay_ms", "place_decay"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SessionKnnConfig.{name} is {getattr(self, name)}; it must be above 0")


class SessionKnn:
    """STAN, "Sequence and Time Aware Neighborhood" (Garg et al., SIGIR 2019), over `Traces`.

    The query is the distinct items of the current session, most recent first, filled up with the user's
    latest history. A past session's likeness is the summed weight of the items it shares with the query, by
    their recency in the query, over the root of its length, times the decay of its age. The most alike vote
    for their items by the distance to the most recent shared item.

    Looks at the latest sessions of each query item; never proposes the item just touched, nor learns from the
    user's current session. Holds no state of its own: it reads what `Traces` placed.
    """

    name = "session_knn"

    def __init__(
        self, limits: Limits, traces: Traces, n: int = 100, config: SessionKnnConfig | None = None
    ) -> None:
        self.n = n
        self.config = config or SessionKnnConfig()
        self._traces = traces
        self._likeness = np.zeros(limits.sessions, np.float64)
        self._shared_item = np.zeros(limits.sessions, np.int32)
        self._counted_item = np.zeros(limits.sessions, np.int32)
        self._touched_sessions = np.zeros(limits.sessions, np.int32)
        self._totals = np.zeros(limits.items, np.float64)
        self._touched_items = np.zeros(limits.items, np.int32)
        self._seen = np.zeros(limits.items, np.bool_)
        self._voters = np.zeros(self.config.neighbours, np.int32)
        self._votes = np.zeros(self.config.neighbours, np.float32)
        places = np.arange(limits.session_length + 1)
        self._length_weights = 1.0 / np.sqrt(np.maximum(places, 1))
        self._place_weights = np.exp(-places / self.config.place_decay)

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: `Traces` has learnt it."""

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) item rows and votes, best first."""
        rows = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        traces = self._traces
        _propose(
            query.users,
            query.now_ms,
            query.session,
            query.history,
            query.history_last_ms,
            self.config.lookback.session_weights(),
            self.config.lookback.history_weights(),
            self.config.lookback.history_weight,
            self.config.sessions_per_item,
            self.config.age_decay_ms,
            self._length_weights,
            self._place_weights,
            traces.session_items,
            traces.session_times,
            traces.session_count,
            traces.session_last_ms,
            traces.last_serial,
            traces.user_session,
            traces.item_sessions,
            traces.item_session_count,
            self._likeness,
            self._shared_item,
            self._counted_item,
            self._touched_sessions,
            self._totals,
            self._touched_items,
            self._seen,
            self._voters,
            self._votes,
            rows,
            scores,
        )
        return rows, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Nothing: `Traces` forgets them."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """Empty: the state is in `Traces`."""
        return {}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Takes the empty snapshot; SnapshotError for any other."""
        fill({}, arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _propose(
    users: NDArray[np.int32],
    now_ms: NDArray[np.int64],
    session: NDArray[np.int32],
    history: NDArray[np.int32],
    history_ms: NDArray[np.int64],
    session_weights: NDArray[np.float64],
    history_weights: NDArray[np.float64],
    history_weight: float,
    sessions_per_item: int,
    age_decay_ms: float,
    length_weights: NDArray[np.float64],
    place_weights: NDArray[np.float64],
    session_items: NDArray[np.int32],
    session_times: NDArray[np.int64],
    session_count: NDArray[np.int64],
    session_last_ms: NDArray[np.int64],
    last_serial: NDArray[np.int64],
    user_session: NDArray[np.int32],
    item_sessions: NDArray[np.int64],
    item_session_count: NDArray[np.int64],
    likeness: NDArray[np.float64],
    shared_item: NDArray[np.int32],
    counted_item: NDArray[np.int32],
    touched_sessions: NDArray[np.int32],
    totals: NDArray[np.float64],
    touched_items: NDArray[np.int32],
    seen: NDArray[np.bool_],
    voters: NDArray[np.int32],
    votes: NDArray[np.float32],
    out_rows: NDArray[np.int32],
    out_scores: NDArray[np.float32],
) -> None:
    sessions, length = session_items.shape
    ring = item_sessions.shape[1]
    asked = np.zeros(len(session_weights), np.int32)
    weights = np.zeros(len(session_weights), np.float64)
    for b in range(len(users)):
        size, from_session = weigh_query(
            session[b],
            history[b],
            history_ms[b],
            session_weights,
            history_weights,
            history_weight,
            seen,
            asked,
            weights,
        )
        own = user_session[users[b]]
        alike = 0
        for place in range(size):
            item = asked[place]
            newest = item_session_count[item] - 1
            for back in range(min(item_session_count[item], ring, sessions_per_item)):
                row = session_row(item_sessions[item, (newest - back) % ring], last_serial[0], sessions)
                if row <= 0 or row == own:
                    continue
                if likeness[row] == 0:
                    shared_item[row] = item
                elif counted_item[row] == item:
                    continue  # the ring can name a session again after others
                counted_item[row] = item
                alike = add_to(likeness, touched_sessions, alike, row, weights[place])
        for at in range(alike):
            row = touched_sessions[at]
            age = max(0, now_ms[b] - session_last_ms[row])
            likeness[row] *= np.exp(-age / age_decay_ms) * length_weights[min(session_count[row], length)]
        voting = best_of(touched_sessions, alike, likeness, voters, votes)
        clear(likeness, touched_sessions, alike)

        count = 0
        for at in range(voting):
            row = voters[at]
            kept = min(session_count[row], length)
            newest = (session_count[row] - 1) % length
            back, slot = 0, newest
            while back < kept and session_items[row, slot] != shared_item[row]:
                back += 1
                slot = slot - 1 if slot > 0 else length - 1
            if back == kept:
                continue  # so long a session that its ring has forgotten the shared item
            shared_ms = session_times[row, slot]
            slot = newest
            for other in range(kept):
                item = session_items[row, slot]
                if item > 0:
                    apart = abs(other - back)
                    if apart > 1 and session_times[row, slot] == shared_ms:
                        apart = 1
                    count = add_to(totals, touched_items, count, item, votes[at] * place_weights[apart])
                slot = slot - 1 if slot > 0 else length - 1
        if from_session > 0:
            totals[asked[0]] = 0
        best_of(touched_items, count, totals, out_rows[b], out_scores[b])
        clear(totals, touched_items, count)
