"""Weighted item-to-item counts in a fixed number of slots per item: what rules and co-visitations keep."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from events.columns import Kind
from index.snapshot import copied, fill
from index.sources.base import Limits, Query
from index.sources.query_items import Lookback, weigh_query
from index.sources.topk import add_to, best_of, clear


@dataclass(frozen=True, slots=True)
class KindWeights:
    """How much one interaction of a kind says; the other kinds say nothing."""

    click: float = 1.0
    cart: float = 2.0
    purchase: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.click <= self.cart <= self.purchase < float("inf"):
            raise ValueError(f"{self}: allowed are 0 < click <= cart <= purchase")

    def by_kind(self) -> NDArray[np.float64]:
        """(7,) float64: the weight of each `Kind`."""
        weights = np.zeros(len(Kind), np.float64)
        weights[[Kind.CLICK, Kind.CART, Kind.PURCHASE]] = self.click, self.cart, self.purchase
        return weights


@dataclass(frozen=True, slots=True)
class Recall:
    """How counts become scores: sum over query items q of weight(q) count(q, i) / (n(q)^own n(i)^other)."""

    lookback: Lookback = field(default_factory=Lookback)
    own_power: float = 0.5  # 0.5 and 0.5 make the cosine
    other_power: float = 0.0  # higher favours rarer items

    def __post_init__(self) -> None:
        for name in ("own_power", "other_power"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Recall.{name} is {getattr(self, name)}; allowed are 0..1")


class CoVisits:
    """For each item its M heaviest partners, kept by Space-Saving (Metwally, Agrawal, El Abbadi, ICDT 2005).

    `partners` (N, M) int32, 0 where the slot is empty; `counts` (N, M) float32, the weight seen since the
    partner got its slot; `excess` (N, M) float32, the most it can have had before. A new partner of a full
    item takes the slot whose count + excess is least (the first of equals) and that sum as its excess. So the
    true weight is in counts .. counts + excess, the sums decide who stays, and only the counts, which are
    never too high, make scores. float32 counts stop growing at 2^24.
    """

    def __init__(self, limits: Limits) -> None:
        self.partners = np.zeros((limits.items, limits.neighbours), np.int32)
        self.counts = np.zeros((limits.items, limits.neighbours), np.float32)
        self.excess = np.zeros((limits.items, limits.neighbours), np.float32)
        self._totals = np.zeros(limits.items, np.float64)
        self._touched = np.zeros(limits.items, np.int32)
        self._seen = np.zeros(limits.items, np.bool_)

    def propose(
        self, query: Query, *, item_count: NDArray[np.int64], recall: Recall, n: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) partners of the query's items and their scores, best first; never the item just touched.

        `item_count` (N,) int64: the n(i) of `Recall`.
        """
        rows = np.zeros((len(query), n), np.int32)
        scores = np.zeros((len(query), n), np.float32)
        _propose(
            query.session,
            query.history,
            query.history_last_ms,
            recall.lookback.session_weights(),
            recall.lookback.history_weights(),
            recall.lookback.history_weight,
            recall.own_power,
            recall.other_power,
            item_count,
            self.partners,
            self.counts,
            self._totals,
            self._touched,
            self._seen,
            rows,
            scores,
        )
        return rows, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these item rows ((k,) int32), as items and as partners."""
        gone = np.zeros(len(self.partners), np.bool_)
        gone[items] = True
        gone[0] = False
        for array in (self.partners, self.counts, self.excess):
            array[items] = 0
        _blank_partners(gone, self.partners, self.counts, self.excess)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """Partners, counts and excess, as copies."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]], *, owner: str) -> None:
        """Take `snapshot`'s arrays; SnapshotError, naming `owner`, when they do not fit."""
        fill(self._arrays(), arrays, owner=owner)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"partners": self.partners, "counts": self.counts, "excess": self.excess}


@njit(nogil=True, cache=True)
def credit(
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    excess: NDArray[np.float32],
    item: int,
    partner: int,
    weight: float,
) -> None:
    """Add `weight` to `partner`'s count at `item`, taking an empty or the lightest slot if it has none."""
    lightest, least = 0, np.float32(np.inf)
    for slot in range(partners.shape[1]):
        held = partners[item, slot]
        if held == partner:
            counts[item, slot] += np.float32(weight)
            return
        total = counts[item, slot] + excess[item, slot] if held != 0 else np.float32(-1)
        if total < least:
            lightest, least = slot, total
    partners[item, lightest] = partner
    counts[item, lightest] = np.float32(weight)
    excess[item, lightest] = max(least, np.float32(0))


@njit(nogil=True, cache=True)
def _propose(
    session: NDArray[np.int32],
    history: NDArray[np.int32],
    history_ms: NDArray[np.int64],
    session_weights: NDArray[np.float64],
    history_weights: NDArray[np.float64],
    history_weight: float,
    own_power: float,
    other_power: float,
    item_count: NDArray[np.int64],
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    totals: NDArray[np.float64],
    touched: NDArray[np.int32],
    seen: NDArray[np.bool_],
    out_rows: NDArray[np.int32],
    out_scores: NDArray[np.float32],
) -> None:
    asked = np.zeros(len(session_weights), np.int32)
    weights = np.zeros(len(session_weights), np.float64)
    for b in range(len(session)):
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
        count = 0
        for place in range(size):
            item = asked[place]
            weight = weights[place] / max(item_count[item], 1) ** own_power
            for slot in range(partners.shape[1]):
                partner = partners[item, slot]
                if partner != 0:
                    count = add_to(totals, touched, count, partner, weight * counts[item, slot])
        if other_power > 0:
            for at in range(count):
                totals[touched[at]] /= max(item_count[touched[at]], 1) ** other_power
        if from_session > 0:
            totals[asked[0]] = 0
        best_of(touched, count, totals, out_rows[b], out_scores[b])
        clear(totals, touched, count)


@njit(nogil=True, cache=True)
def _blank_partners(
    gone: NDArray[np.bool_],
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    excess: NDArray[np.float32],
) -> None:
    for item in range(partners.shape[0]):
        for slot in range(partners.shape[1]):
            if gone[partners[item, slot]]:
                partners[item, slot] = 0
                counts[item, slot] = 0
                excess[item, slot] = 0
