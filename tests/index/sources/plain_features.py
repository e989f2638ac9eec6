"""Candidates and their features in plain Python: what the kernels must agree with."""

import math

import numpy as np
from numpy.typing import NDArray

from events.columns import Kind
from index.sources.assembly import Choice, SourcesConfig
from index.sources.base import Limits, Query
from index.sources.catalogue import Catalogue
from index.sources.item_habits import ItemHabits
from index.sources.popularity import Popularity

LIMITS = Limits(items=40)
HALF_LIVES_MS = (3_600_000, 86_400_000, 0)
CHOICES = (
    Choice("session_knn"),
    Choice("own_history", weight=3.0),
    Choice("popularity"),
    Choice("two_hop", weight=0.5),
)
CONFIG = SourcesConfig(sources=CHOICES, candidates=8, reserved=1)
DAY_MS, HOUR_MS, SECOND_MS = 86_400_000, 3_600_000, 1000

Proposals = list[tuple[NDArray[np.int32], NDArray[np.float32]]]


def plain_union(
    proposals: Proposals, b: int, *, barred: set[int], config: SourcesConfig
) -> tuple[list[int], dict[int, int]]:
    fused: dict[int, float] = {}
    first: set[int] = set()
    bits: dict[int, int] = {}
    for s, (ids, _) in enumerate(proposals):
        taken = 0
        for rank, item in enumerate(ids[b].tolist()):
            if item == 0 or item in barred:
                continue
            fused[item] = fused.get(item, 0.0) + config.sources[s].weight / (60.0 + rank)
            bits[item] = bits.get(item, 0) | 1 << s
            if taken < config.reserved:
                first.add(item)
                taken += 1
    order = sorted(fused, key=lambda item: (-np.float32(fused[item] + (item in first)), item))
    return order[: config.candidates], bits


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def plain_features(
    item: int,
    b: int,
    proposals: Proposals,
    query: Query,
    catalogue: Catalogue,
    popularity: Popularity,
    habits: ItemHabits,
) -> dict[str, float]:
    """Every feature that isn't 0."""
    now = int(query.now_ms[b])
    found: dict[str, float] = {}
    for choice, (ids, scores) in zip(CHOICES, proposals, strict=True):
        if item in ids[b].tolist():
            rank = ids[b].tolist().index(item)
            found[f"{choice.name}.score"] = math.log1p(scores[b, rank])
            found[f"{choice.name}.share"] = scores[b, rank] / scores[b, 0]
            found[f"{choice.name}.rank"] = 1 / (1 + rank)
            found["sources"] = found.get("sources", 0) + 1
    for w, name in enumerate(("popularity.1h", "popularity.24h", "popularity.all")):
        half_life = HALF_LIVES_MS[w]
        found[name] = math.log1p(2.0 ** (popularity.keys[w, item] - (now / half_life if half_life else 0.0)))
    if catalogue.first_ms[item] > 0:
        found["age"] = math.log1p(max(now - int(catalogue.first_ms[item]), 0) / DAY_MS)
    history, session = query.history[b].tolist(), query.session[b].tolist()
    if item in history:
        t = history.index(item)
        since = max(now - int(query.history_last_ms[b, t]), 0)
        bought, views = max(float(query.history_purchases[b, t]), 0.0), float(query.history_views[b, t])
        found |= {"own.purchases": math.log1p(bought), "own.views": math.log1p(views)}
        found["own.decayed"] = math.log1p(query.history_decayed[b, t])
        found |= {"own.recency": 1 / (1 + since / DAY_MS), "own.since": math.log1p(since / SECOND_MS)}
        spread = int(query.history_last_ms[b, t] - query.history_first_ms[b, t])
        if bought + views > 1 and spread > 0:
            found["own.due"] = min(since * (bought + views - 1) / spread, 5.0)
    if item in session:
        found |= {
            "session.times": math.log1p(session.count(item)),
            "session.place": 1 / (1 + session.index(item)),
        }
    known = [i for i in history if i]
    prices = [math.log(catalogue.price[i]) for i in known if catalogue.price[i] > 0]
    if catalogue.price[item] > 0:
        found["price"] = math.log1p(catalogue.price[item])
        if prices:
            relative = math.log(catalogue.price[item]) - float(np.mean(prices))
            found["price.relative"] = min(max(relative, -4.0), 4.0)
    last = session[0] or history[0]
    for name, labels in (("category", catalogue.category), ("brand", catalogue.brand)):
        if labels[item]:
            found[f"{name}.last"] = float(last > 0 and labels[last] == labels[item])
            found[f"{name}.share"] = sum(labels[i] == labels[item] for i in known) / max(len(known), 1)
    if catalogue.has_text[item]:
        vectors = catalogue.vectors.astype(np.float32)
        zero = np.zeros(8, np.float32)
        found["text.known"] = 1.0
        found["text.last"] = float(vectors[item] @ unit(vectors[last] if last else zero))
        found["text.session"] = float(vectors[item] @ unit(sum((vectors[i] for i in session if i), zero)))
        found["text.history"] = float(vectors[item] @ unit(sum((vectors[i] for i in known), zero)))
    found["shopper.history"], found["shopper.session"] = (
        math.log1p(len(known)),
        math.log1p(sum(map(bool, session))),
    )
    found |= plain_cart(item, session, query.session_kinds[b].tolist())
    return found | plain_habits(item, b, query, popularity, habits, since=found.get("own.since", 0.0))


def plain_cart(item: int, session: list[int], kinds: list[int]) -> dict[str, float]:
    latest: dict[int, int] = {}
    for other, kind in zip(reversed(session), reversed(kinds), strict=True):
        if other and kind in (Kind.CART, Kind.PURCHASE):
            latest[other] = kind
    pending = [i for i, kind in latest.items() if kind == Kind.CART]
    last_kind = kinds[0] if session[0] else 0
    return {
        "session.pending": float(item in pending),
        "session.bought": float(latest.get(item) == Kind.PURCHASE),
        "shopper.carted": float(last_kind == Kind.CART),
        "shopper.bought": float(last_kind == Kind.PURCHASE),
        "shopper.pending": math.log1p(len(pending)),
    }


def plain_habits(
    item: int, b: int, query: Query, popularity: Popularity, habits: ItemHabits, *, since: float
) -> dict[str, float]:
    now, history = int(query.now_ms[b]), query.history[b].tolist()
    known = [t for t in range(len(history)) if history[t]]
    lasts, firsts = query.history_last_ms[b].tolist(), query.history_first_ms[b].tolist()
    times: list[int] = []
    behind: dict[int, int] = {}
    for t in known:
        if not times or lasts[t] < times[-1]:
            times.append(lasts[t])
        behind.setdefault(history[t], len(times) - 1)
    visits, returns, log_hours = habits.sums[item].tolist()
    found = {
        "item.returns": (returns + 0.2) / (visits + 2),
        "item.interval": (log_hours + 30) / (returns + 5),
        "shopper.visits": math.log1p(len(times)),
    }
    if times:
        found["shopper.away"] = math.log1p(max(now - times[0], 0) / SECOND_MS)
        found["shopper.returns"] = sum(lasts[t] > firsts[t] for t in known) / len(known)
    if since > 0:
        since_h = math.expm1(since) * SECOND_MS / HOUR_MS
        found["own.overdue"] = math.log1p(since_h) - found["item.interval"]
    if item in history:
        t = history.index(item)
        touches = max(float(query.history_views[b, t]), 0.0) + max(float(query.history_purchases[b, t]), 0.0)
        found["own.rate"] = min(touches / max(sum(time >= firsts[t] for time in times), 1), 1.0)
        found["own.behind"] = math.log1p(behind[item])
    idle_h = min(max(-(popularity.keys[0, item] - now / HOUR_MS), 0.0), 1e5)
    found["item.idle"] = math.log1p(idle_h * HOUR_MS / SECOND_MS)
    count = max(2.0 ** max(min(popularity.keys[1, item] - now / DAY_MS, 40.0), -20.0), 1e-3)
    found["item.slowing"] = math.log1p(idle_h) - math.log1p(24 / math.log(2) / count)
    return found
