"""Shoppers with planted tastes: what they like is known, so how well they are served can be computed.

A shown item is clicked with probability examined(slot) x appeal(shopper, item), the position-based model
(Craswell et al., "An experimental comparison of click position-bias models", WSDM 2008).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.invented_catalogue import CATEGORIES, STYLES, InventedCatalogue

EXAMINED_DECAY = 0.85  # a slot is looked at so much less often than the one before it
_FAVOURITES = 2  # categories that a shopper likes
_BASE, _CATEGORY, _STYLE, _PRICE = -4.0, 3.2, 1.2, 0.8  # weights of the appeal's logit


def examined(slots: int) -> NDArray[np.float64]:
    """(slots,) the probability that each slot is looked at; the first always is."""
    return EXAMINED_DECAY ** np.arange(slots, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Shoppers:
    """S shoppers: how much each likes each category and style (0 to 1), and the price they are used to."""

    category_taste: NDArray[np.float64]  # (S, categories)
    style_taste: NDArray[np.float64]  # (S, styles)
    log_price: NDArray[np.float64]  # (S,)

    def __len__(self) -> int:
        return len(self.log_price)

    def appeal(self, shopper: int, *, catalogue: InventedCatalogue) -> NDArray[np.float64]:
        """(N,) the probability that `shopper` clicks each item once it is looked at."""
        dear = np.maximum(0.0, catalogue.log_prices - self.log_price[shopper])
        logit = (
            _BASE
            + _CATEGORY * self.category_taste[shopper][catalogue.categories]
            + _STYLE * self.style_taste[shopper][catalogue.styles]
            - _PRICE * dear
            + catalogue.quality
        )
        appeal: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logit))
        return appeal

    def swapped(self, *, who: NDArray[np.bool_] | None = None) -> "Shoppers":
        """The same shoppers after the tastes of `who`, (S,), or of all have moved to other categories and styles."""
        moved = np.ones((len(self), 1), np.bool_) if who is None else who[:, None]
        return Shoppers(
            np.where(moved, np.roll(self.category_taste, len(CATEGORIES) // 2, axis=1), self.category_taste),
            np.where(moved, np.roll(self.style_taste, len(STYLES) // 2, axis=1), self.style_taste),
            self.log_price,
        )


def invent_shoppers(n: int, *, rng: np.random.Generator) -> Shoppers:
    """`n` shoppers, each fond of two categories and one style. ValueError when n is below 1."""
    if n < 1:
        raise ValueError(f"invent_shoppers got n={n}, expected at least 1")
    category_taste = rng.uniform(0.0, 0.2, (n, len(CATEGORIES)))
    style_taste = rng.uniform(0.0, 0.3, (n, len(STYLES)))
    for shopper in range(n):
        liked = rng.choice(len(CATEGORIES), _FAVOURITES, replace=False)
        category_taste[shopper, liked] = rng.uniform(0.7, 1.0, _FAVOURITES)
        style_taste[shopper, rng.integers(0, len(STYLES))] = 1.0
    return Shoppers(category_taste, style_taste, rng.normal(np.log(18.0), 0.6, n))


@dataclass(frozen=True, slots=True)
class Chances:
    """The expected clicks a slot, 0 to 1, of a slate, of the best slate there is, and of a random one."""

    slate: float
    oracle: float
    random: float


def chances(appeal: NDArray[np.float64], *, shown: NDArray[np.int64]) -> Chances:
    """What a slate is worth to a shopper with `appeal`, (N,); `shown`: (C,) rows of the catalogue by slot, -1
    for an item that is not in it, which nobody clicks."""
    seen = examined(len(shown))
    worth = np.where(shown >= 0, appeal[np.maximum(shown, 0)], 0.0)
    k = min(len(shown), len(appeal))
    best = np.sort(np.partition(appeal, -k)[-k:])[::-1]
    return Chances(
        slate=float((seen * worth).mean()),
        oracle=float((seen[:k] * best).sum() / len(shown)),
        random=float(seen.mean() * appeal.mean()),
    )
