"""A catalogue made up from word lists, whose titles say what the items are: the text carries the signal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.ids import ItemId
from events.types import CatalogueItem

# Category: its typical price and the nouns of its titles.
CATEGORIES: dict[str, tuple[float, tuple[str, ...]]] = {
    "Garden": (18.0, ("watering can", "planter", "bird feeder", "trowel set", "herb box", "garden lantern")),
    "Kitchen": (14.0, ("mixing bowl", "chopping board", "cake tin", "spice rack", "oven glove", "teapot")),
    "Bathroom": (9.0, ("soap dish", "bath towel", "shower caddy", "toothbrush holder", "bath mat", "mirror")),
    "Office": (
        11.0,
        ("desk organiser", "notebook", "pen pot", "letter tray", "paper clip box", "wall planner"),
    ),
    "Toys": (12.0, ("building blocks", "jigsaw puzzle", "spinning top", "doll's house", "toy train", "kite")),
    "Lighting": (32.0, ("table lamp", "string of lights", "pendant shade", "candle holder", "night light")),
    "Bedding": (41.0, ("duvet cover", "pillow case", "throw blanket", "quilt", "mattress topper", "bolster")),
    "Jewellery": (26.0, ("necklace", "bracelet", "earrings", "brooch", "ring box", "charm")),
    "Travel": (
        35.0,
        ("luggage tag", "weekend bag", "passport cover", "travel pillow", "wash bag", "rucksack"),
    ),
    "Pets": (15.0, ("dog bed", "cat toy", "feeding bowl", "dog lead", "scratching post", "pet blanket")),
    "Party": (7.0, ("paper lantern", "bunting", "cake candles", "balloon set", "party hats", "napkins")),
    "Crafts": (10.0, ("knitting needles", "wool ball", "sewing kit", "paint set", "felt sheets", "bead box")),
}
STYLES: dict[str, tuple[str, ...]] = {
    "vintage": ("vintage", "antique", "retro", "heirloom"),
    "floral": ("floral", "rose", "blossom", "meadow"),
    "modern": ("modern", "minimal", "geometric", "sleek"),
    "rustic": ("rustic", "oak", "woven", "farmhouse"),
    "bright": ("rainbow", "neon", "polka dot", "striped"),
}
_COLOURS = ("red", "blue", "green", "ivory", "grey", "pink", "yellow", "black", "teal", "copper")
_SIZES = ("small", "large", "mini", "family", "pocket", "double")


@dataclass(frozen=True, slots=True)
class InventedCatalogue:
    """N items and what the shoppers judge them by."""

    items: tuple[CatalogueItem, ...]
    categories: NDArray[np.int64]  # (N,) index into CATEGORIES
    styles: NDArray[np.int64]  # (N,) index into STYLES
    log_prices: NDArray[np.float64]  # (N,) natural logarithm
    quality: NDArray[np.float64]  # (N,) appeal that everybody agrees on, mean 0

    def __len__(self) -> int:
        return len(self.items)


def invent_catalogue(n: int, *, rng: np.random.Generator) -> InventedCatalogue:
    """`n` items; the same generator state gives the same catalogue. ValueError when n is below 1."""
    if n < 1:
        raise ValueError(f"invent_catalogue got n={n}, expected at least 1")
    categories = rng.integers(0, len(CATEGORIES), n)
    styles = rng.integers(0, len(STYLES), n)
    base = np.array([price for price, _ in CATEGORIES.values()])[categories]
    prices = np.round(base * np.exp(rng.normal(0.0, 0.5, n)), 2).clip(0.5)
    items = tuple(
        CatalogueItem(
            item_id=ItemId(f"item-{number:05d}"),
            item_name=_title(int(categories[number]), int(styles[number]), rng=rng),
            item_category=list(CATEGORIES)[categories[number]],
            price=float(prices[number]),
        )
        for number in range(n)
    )
    return InventedCatalogue(items, categories, styles, np.log(prices), rng.normal(0.0, 0.4, n))


def _title(category: int, style: int, *, rng: np.random.Generator) -> str:
    nouns = list(CATEGORIES.values())[category][1]
    adjectives = list(STYLES.values())[style]
    parts = (_SIZES, adjectives, _COLOURS, nouns)
    return " ".join(part[rng.integers(0, len(part))] for part in parts)
