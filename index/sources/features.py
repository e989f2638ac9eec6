"""Candidates and their features, by one kernel: what serving scores is what training learns from."""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.sources.assembly import SourcesConfig
from index.sources.base import Limits, Query
from index.sources.catalogue import Catalogue
from index.sources.item_features import (
    ITEM_FEATURES,
    LATEST,
    describe_shopper,
    fill_cart,
    fill_habits,
    fill_item,
    fill_own,
    fill_rate,
    fill_text,
    log1p,
    number_visits,
    positive,
    read_cart,
)
from index.sources.item_habits import ItemHabits
from index.sources.popularity import Popularity
from index.sources.union import Candidates, unite

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]

SOURCE_FEATURES = ("score", "share", "rank")
_STEPS = 32  # of the table per unit of power: the error of a straight line between them is below 2e-5
_LOG_COUNTS = np.log1p(np.exp2(np.arange(-20 * _STEPS, 40 * _STEPS + 2) / _STEPS))


def feature_names(sources: Sequence[str], *, half_lives_ms: Sequence[int]) -> tuple[str, ...]:
    """The F features of a candidate, in order.

    Of each source: `log1p(score)`, the share of its best score for this user, and 1 / (1 + rank), zeros where
    it did not propose the candidate; how many sources did; `log1p` of the decayed count over each window of
    popularity; then `ITEM_FEATURES`.
    """
    of_sources = [f"{source}.{part}" for source in sources for part in SOURCE_FEATURES]
    windows = [
        f"popularity.{half_life // 3_600_000}h" if half_life else "popularity.all"
        for half_life in half_lives_ms
    ]
    return (*of_sources, "sources", *windows, *ITEM_FEATURES)


class CandidateBuilder:
    """Turns one batch's proposals into Candidates; holds the scratch arrays and nothing else.

    Removed and unavailable items are never candidates, nor, unless `config.repeat`, what the shopper bought
    and is not consumable, left aside or not.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        config: SourcesConfig,
        catalogue: Catalogue,
        popularity: Popularity,
        habits: ItemHabits,
    ) -> None:
        self.config = config
        names = [choice.name for choice in config.sources]
        self.names = feature_names(names, half_lives_ms=popularity.half_lives_ms.tolist())
        if not (popularity.half_lives_ms > 0).any():
            raise ValueError(f"half-lives are {popularity.half_lives_ms.tolist()}; expected one above 0")
        self._catalogue, self._popularity, self._habits = catalogue, popularity, habits
        self._weights = np.array([choice.weight for choice in config.sources], np.float64)
        self._fused = np.zeros(limits.items, np.float64)
        self._place = np.zeros(limits.items, np.int32)
        self._own = np.zeros(limits.items, np.int32)
        self._in_session = np.zeros(limits.items, np.int32)
        self._cart = np.zeros(limits.items, np.int8)
        self._barred = np.zeros(limits.items, np.bool_)

    def build(
        self,
        proposals: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]],
        *,
        query: Query,
        limit: int | None = None,
    ) -> Candidates:
        """The candidates of B users from the proposals of each source, ids (B, n_s) and scores (B, n_s); the
        best `limit` of those that the config allows, where given."""
        if len(proposals) != len(self._weights):
            raise ValueError(f"{len(proposals)} sources proposed; expected {len(self._weights)}")
        offsets = np.cumsum([0, *(ids.shape[1] for ids, _ in proposals)])
        proposed = np.concatenate([ids for ids, _ in proposals], axis=1)
        scores = np.concatenate([scores for _, scores in proposals], axis=1)
        catalogue, popularity = self._catalogue, self._popularity
        np.logical_or(catalogue.removed, ~catalogue.available, out=self._barred)
        width = self.config.candidates if limit is None else min(limit, self.config.candidates)
        shape = (len(query), width)
        items, bits = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        features = np.zeros((*shape, len(self.names)), np.float32)
        _build(
            proposed, scores, offsets, self._weights, self.config.reserved, self.config.repeat,
            query.now_ms, query.session, query.session_kinds, query.history, query.left_aside, query.history_last_ms,
            query.history_first_ms, query.history_views, query.history_purchases, query.history_decayed,
            popularity.keys, popularity.half_lives_ms, self._habits.sums,
            catalogue.vectors.view(np.uint16), catalogue.has_text, catalogue.price, catalogue.category,
            catalogue.brand, catalogue.first_ms, catalogue.consumable,
            self._barred, self._fused, self._place, self._own, self._in_session, self._cart,
            items, bits, features,
        )  # fmt: skip
        return Candidates(items=items, features=features, sources=bits)


@njit(nogil=True, cache=True, inline="always")
def log_count(power: float) -> float:
    """log(1 + 2^power) from a table, which is several times as fast; 0 below 2^-20, capped at 2^40."""
    at = (min(power, 40.0) + 20.0) * _STEPS
    if not at >= 0.0:
        return 0.0
    below = int(at)
    low, high = float(_LOG_COUNTS[below]), float(_LOG_COUNTS[below + 1])
    return low + (at - below) * (high - low)


@njit(nogil=True, cache=True)
def _build(
    proposed: I32,
    scores: F32,
    offsets: NDArray[np.int64],
    weights: NDArray[np.float64],
    reserved: int,
    repeat: bool,
    nows_ms: NDArray[np.int64],
    session: I32,
    session_kinds: NDArray[np.int8],
    history: I32,
    left_aside: I32,
    last_ms: NDArray[np.int64],
    first_ms: NDArray[np.int64],
    views: F32,
    purchases: F32,
    decayed: F32,
    keys: NDArray[np.float64],
    half_lives_ms: NDArray[np.int64],
    habits: F32,
    vectors: NDArray[np.uint16],
    has_text: NDArray[np.bool_],
    price: F32,
    category: I32,
    brand: I32,
    item_first_ms: NDArray[np.int64],
    consumable: NDArray[np.bool_],
    barred: NDArray[np.bool_],
    fused: NDArray[np.float64],
    place: I32,
    own: I32,
    in_session: I32,
    cart: NDArray[np.int8],
    items: I32,
    bits: I32,
    features: F32,
) -> None:
    sources, windows = len(weights), len(half_lives_ms)
    size = proposed.shape[1]
    pool, pool_bits = np.empty(size, np.int32), np.empty(size, np.int32)
    ranks = np.empty((size, sources), np.int16)
    fused_scores = np.empty(items.shape[1], np.float32)
    bought = np.empty(history.shape[1], np.int32)
    means = np.empty((3, vectors.shape[1]), np.float32)
    categories, brands = np.empty(1 + LATEST, np.int32), np.empty(1 + LATEST, np.int32)
    times, behind = np.empty(history.shape[1], np.int64), np.empty(history.shape[1], np.int32)
    short, long = 0, 0  # the windows of the shortest and the longest half-life; 0 never decays
    for w in range(windows):
        if half_lives_ms[w] > 0:
            short = w if half_lives_ms[short] <= 0 or half_lives_ms[w] < half_lives_ms[short] else short
            long = w if half_lives_ms[w] > half_lives_ms[long] else long
    base = 3 * sources
    faded = np.zeros(windows, np.float64)  # half-lives since the epoch
    for b in range(len(nows_ms)):
        for w in range(windows):
            faded[w] = nows_ms[b] / half_lives_ms[w] if half_lives_ms[w] > 0 else 0.0
        for t in range(history.shape[1]):
            if history[b, t] != 0 and own[history[b, t]] == 0:
                own[history[b, t]] = t + 1
        for t in range(session.shape[1]):
            in_session[session[b, t]] += 1 if session[b, t] != 0 else 0
        visits = number_visits(history[b], last_ms[b], times, behind)
        in_all, returned = 0, 0
        for t in range(history.shape[1]):
            in_all += history[b, t] != 0
            returned += history[b, t] != 0 and last_ms[b, t] > first_ms[b, t]
        away = log1p(max(nows_ms[b] - times[0], 0) / 1_000.0) if visits > 0 else 0.0
        pending = read_cart(session[b], session_kinds[b], cart)
        last_kind = session_kinds[b, 0] if session.shape[1] > 0 and session[b, 0] != 0 else 0
        newly_barred = 0
        if not repeat:
            for t in range(history.shape[1]):
                item = history[b, t] + left_aside[b, t]  # at most one of them is there
                if item != 0 and purchases[b, t] > 0.0 and not consumable[item] and not barred[item]:
                    barred[item] = True
                    bought[newly_barred] = item
                    newly_barred += 1
        count = unite(proposed[b], offsets, weights, reserved, barred, fused, place, pool, ranks, pool_bits,
                      items[b], fused_scores)  # fmt: skip
        mean_log_price, latest, in_history, touches = describe_shopper(
            session[b], history[b], price, category, brand, vectors, has_text, means, categories, brands
        )
        log_history, log_touches, log_visits = log1p(in_history), log1p(touches), log1p(visits)
        returning = returned / max(in_all, 1)
        for c in range(items.shape[1]):
            item = items[b, c]
            if item == 0:
                break
            row = features[b, c]
            met = place[item] - 1
            bits[b, c] = pool_bits[met]
            for s in range(sources):
                rank = ranks[met, s] - 1
                if rank < 0:
                    continue
                best, score = scores[b, offsets[s]], scores[b, offsets[s] + rank]
                row[3 * s] = log1p(positive(score))
                row[3 * s + 1] = min(positive(score / best), 1.0) if best > 0.0 else 0.0
                row[3 * s + 2] = 1.0 / (1.0 + rank)
                row[base] += 1.0
            for w in range(windows):
                row[base + 1 + w] = log_count(keys[w, item] - faded[w])
            rest = row[base + 1 + windows :]
            fill_item(rest, nows_ms[b], item_first_ms[item], price[item], mean_log_price, category[item],
                      brand[item], categories, brands, latest)  # fmt: skip
            if own[item] > 0:
                t = own[item] - 1
                fill_own(rest, nows_ms[b], first_ms[b, t], last_ms[b, t], views[b, t], purchases[b, t],
                         decayed[b, t])  # fmt: skip
                fill_rate(rest, positive(views[b, t]) + positive(purchases[b, t]), first_ms[b, t], behind[t],
                          times, visits)  # fmt: skip
            if in_session[item] > 0:
                rest[7] = log1p(in_session[item])
                t = 0
                while session[b, t] != item:
                    t += 1
                rest[8] = 1.0 / (1.0 + t)
            if has_text[item]:
                fill_text(rest, vectors[item], means)
            rest[19], rest[20] = log_history, log_touches
            fill_habits(rest, habits[item], keys[short, item] - faded[short], half_lives_ms[short],
                        keys[long, item] - faded[long], half_lives_ms[long])  # fmt: skip
            rest[28], rest[29], rest[30] = log_visits, away, returning
            fill_cart(rest, cart[item], last_kind, pending)
        for met in range(count):
            place[pool[met]] = 0
        for t in range(history.shape[1]):
            own[history[b, t]] = 0
        for t in range(session.shape[1]):
            in_session[session[b, t]] = 0
            cart[session[b, t]] = 0
        for at in range(newly_barred):
            barred[bought[at]] = False
