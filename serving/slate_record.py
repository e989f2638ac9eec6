"""Slates as arrays to the record that is published: item ids, titles, reasons, propensities, provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from events.ids import UserId
from events.recommendation import Policy, Recommendation, RecommendedItem, rec_id_of
from index.sources.catalogue import Catalogue
from serving.recommender import Recommendations

REASONS = {
    "session_knn": "shoppers with sessions like this one went on to it",
    "sequential_rules": "often follows what was just looked at",
    "session_covisitation": "seen or bought together with what is in this session",
    "history_covisitation": "shoppers with this history come to it too",
    "two_hop": "liked by shoppers who share items with this one",
    "user_knn": "in the collections of the most similar shoppers",
    "own_history": "bought or looked at before",
    "popularity": "popular now",
    "trending": "gaining quickly",
    "text_neighbours": "its description is close to recent items",
    "new_arrivals": "new in the shop",
}
"""What to tell a shopper, by the name of the source that speaks most for the item."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a batch of records has in common: when and with what they were made."""

    made_at_ms: int
    model_version: int
    index_version: int
    source_names: tuple[str, ...]  # bit i of Recommendations.sources is source_names[i]
    arm_names: Sequence[str]
    exploring_arms: frozenset[int]


def record_of(
    slates: Recommendations,
    row: int,
    *,
    user_id: UserId,
    place: Mapping[str, int],
    seen_offsets: Mapping[str, int],
    fresh_ms: float,
    degraded: str,
    catalogue: Catalogue,
    provenance: Provenance,
) -> Recommendation:
    """The record of the `row`-th slate. `place` is where the user's last applied event lies: with the versions it
    decides the rec_id. Items whose id is not known yet (only their hash is) are left out.
    """
    items: list[RecommendedItem] = []
    rows = slates.items[row].tolist()
    scores = slates.scores[row].tolist()
    propensities = slates.propensities[row].tolist()
    bits = slates.sources[row].tolist()
    for at, item in enumerate(rows):
        if item == 0 or not catalogue.ids[item]:
            continue
        names = source_names(bits[at], names=provenance.source_names)
        items.append(
            RecommendedItem(
                item_id=catalogue.ids[item],
                item_name=catalogue.titles[item] or None,
                score=round(scores[at], 4),
                slot=len(items),
                propensity=min(1.0, max(0.0, propensities[at])),
                reason=REASONS.get(names[0], names[0]) if names else "",
                sources=names,
            )
        )
    arm = int(slates.arms[row])
    return Recommendation(
        rec_id=rec_id_of(
            user_id,
            seen_offsets=dict(place),
            model_version=provenance.model_version,
            index_version=provenance.index_version,
        ),
        user_id=user_id,
        made_at=provenance.made_at_ms,
        items=tuple(items),
        policy=Policy(
            arm=provenance.arm_names[arm],
            arm_propensity=float(slates.arm_propensities[row]),
            context=int(slates.contexts[row]),
            explored=arm in provenance.exploring_arms,
        ),
        model_version=provenance.model_version,
        index_version=provenance.index_version,
        seen_offsets=dict(seen_offsets),
        fresh_ms=round(fresh_ms, 3),
        degraded=degraded,
    )


@lru_cache(maxsize=8_192)
def source_names(bits: int, *, names: tuple[str, ...]) -> tuple[str, ...]:
    """The sources that proposed an item, the most personal first (the order in which they are configured).

    >>> source_names(0b101, names=("session_knn", "popularity", "trending"))
    ('session_knn', 'trending')
    """
    return tuple(name for at, name in enumerate(names) if bits >> at & 1)
