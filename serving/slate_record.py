"""Slates as arrays to the record that is published: item ids, titles, reasons, propensities, provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from events.ids import ItemId, UserId
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


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a slate is for, and what the record says of its making."""

    user_id: UserId
    place: Mapping[
        str, int
    ]  # where the user's last applied event lies: with the versions it decides the rec_id
    seen_offsets: Mapping[str, int]
    fresh_ms: float
    degraded: str


def records_of(
    slates: Recommendations, askers: Sequence[Asker], *, catalogue: Catalogue, provenance: Provenance
) -> list[Recommendation]:
    """The records of B slates for their B askers. Items whose id is not known yet (only their hash is) are
    left out."""
    rows = zip(
        askers,
        slates.items.tolist(),
        np.round(slates.scores.astype(np.float64), 4).tolist(),
        np.clip(slates.propensities, 0.0, 1.0).tolist(),
        slates.sources.tolist(),
        slates.arms.tolist(),
        slates.arm_propensities.tolist(),
        slates.contexts.tolist(),
        strict=True,
    )
    return [
        Recommendation(
            rec_id=rec_id_of(
                asker.user_id,
                seen_offsets=dict(asker.place),
                model_version=provenance.model_version,
                index_version=provenance.index_version,
            ),
            user_id=asker.user_id,
            made_at=provenance.made_at_ms,
            items=_items(
                items, scores, propensities, bits, catalogue=catalogue, names=provenance.source_names
            ),
            policy=Policy(
                arm=provenance.arm_names[arm],
                arm_propensity=arm_propensity,
                context=context,
                explored=arm in provenance.exploring_arms,
            ),
            model_version=provenance.model_version,
            index_version=provenance.index_version,
            seen_offsets=dict(asker.seen_offsets),
            fresh_ms=round(asker.fresh_ms, 3),
            degraded=asker.degraded,
        )
        for asker, items, scores, propensities, bits, arm, arm_propensity, context in rows
    ]


def _items(
    rows: list[int],
    scores: list[float],
    propensities: list[float],
    bits: list[int],
    *,
    catalogue: Catalogue,
    names: tuple[str, ...],
) -> tuple[RecommendedItem, ...]:
    ids, titles = catalogue.ids, catalogue.titles
    made: list[RecommendedItem] = []
    for row, score, propensity, proposed in zip(rows, scores, propensities, bits, strict=True):
        item_id = ids[row] if row else ""
        if item_id:
            sources, reason = _why(proposed, names)
            made.append(
                RecommendedItem(
                    item_id=ItemId(item_id),
                    item_name=titles[row] or None,
                    score=score,
                    slot=len(made),
                    propensity=propensity,
                    reason=reason,
                    sources=sources,
                )
            )
    return tuple(made)


@lru_cache(maxsize=8_192)
def _why(bits: int, names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The sources that proposed an item, and the reason to tell."""
    sources = source_names(bits, names=names)
    return sources, REASONS.get(sources[0], sources[0]) if sources else ""


def source_names(bits: int, *, names: tuple[str, ...]) -> tuple[str, ...]:
    """The sources that proposed an item, the most personal first (the order in which they are configured).

    >>> source_names(0b101, names=("session_knn", "popularity", "trending"))
    ('session_knn', 'trending')
    """
    return tuple(name for at, name in enumerate(names) if bits >> at & 1)
