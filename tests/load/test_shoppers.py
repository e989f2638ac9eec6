"""Shoppers and their catalogue: the planted tastes are there, and can be computed."""

import numpy as np
import pytest

from events.codec import decode_item, encode
from load.invented_catalogue import CATEGORIES, STYLES, invent_catalogue
from load.shoppers import Shoppers, chances, examined, invent_shoppers

RNG_SEED = 5
CATALOGUE = invent_catalogue(600, rng=np.random.default_rng(RNG_SEED))
SHOPPERS = invent_shoppers(50, rng=np.random.default_rng(RNG_SEED))


def test_the_same_seed_invents_the_same_shop() -> None:
    again = invent_catalogue(600, rng=np.random.default_rng(RNG_SEED))
    assert again.items == CATALOGUE.items
    assert np.array_equal(again.quality, CATALOGUE.quality)
    shoppers = invent_shoppers(50, rng=np.random.default_rng(RNG_SEED))
    assert np.array_equal(shoppers.category_taste, SHOPPERS.category_taste)


def test_items_are_items_of_the_contract() -> None:
    assert len({item.item_id for item in CATALOGUE.items}) == len(CATALOGUE) == 600
    assert all(decode_item(encode(item), now_ms=0) == item for item in CATALOGUE.items)


def test_titles_tell_category_and_style() -> None:
    names, styles = list(CATEGORIES), list(STYLES)
    for row, item in enumerate(CATALOGUE.items):
        nouns = CATEGORIES[names[CATALOGUE.categories[row]]][1]
        adjectives = STYLES[styles[CATALOGUE.styles[row]]]
        assert item.item_name.endswith(nouns)
        assert any(adjective in item.item_name for adjective in adjectives)


def test_shoppers_like_what_is_in_their_taste_and_within_their_means() -> None:
    for shopper in range(len(SHOPPERS)):
        appeal = SHOPPERS.appeal(shopper, catalogue=CATALOGUE)
        taste = SHOPPERS.category_taste[shopper][CATALOGUE.categories]
        assert appeal[taste > 0.5].mean() > 3 * appeal[taste < 0.5].mean()
    poor = Shoppers(SHOPPERS.category_taste, SHOPPERS.style_taste, SHOPPERS.log_price - 3)
    dearer = [poor.appeal(s, catalogue=CATALOGUE).sum() for s in range(50)]
    assert all(low < SHOPPERS.appeal(s, catalogue=CATALOGUE).sum() for s, low in enumerate(dearer))


def test_swapped_tastes_are_elsewhere() -> None:
    swapped = SHOPPERS.swapped()
    for shopper in range(len(SHOPPERS)):
        before = SHOPPERS.appeal(shopper, catalogue=CATALOGUE)
        after = swapped.appeal(shopper, catalogue=CATALOGUE)
        assert after[np.argsort(before)[-20:]].mean() < before[np.argsort(before)[-20:]].mean()


def test_chances_of_slates_whose_worth_is_known() -> None:
    appeal = np.array([0.1, 0.4, 0.2])
    seen = examined(2)
    best = chances(appeal, shown=np.array([1, 2]))
    assert best.slate == pytest.approx(best.oracle) == pytest.approx((seen[0] * 0.4 + seen[1] * 0.2) / 2)
    assert best.random == pytest.approx(seen.mean() * appeal.mean())
    unknown = chances(appeal, shown=np.array([-1, -1]))
    assert unknown.slate == 0
    assert unknown.oracle == best.oracle


def test_no_slate_beats_the_oracle() -> None:
    rng = np.random.default_rng(1)
    for shopper in range(20):
        appeal = SHOPPERS.appeal(shopper, catalogue=CATALOGUE)
        for _ in range(20):
            worth = chances(appeal, shown=rng.choice(600, 10, replace=False))
            assert worth.slate <= worth.oracle + 1e-12


def test_random_slates_are_worth_what_is_said_of_them() -> None:
    rng = np.random.default_rng(2)
    appeal = SHOPPERS.appeal(0, catalogue=CATALOGUE)
    worth = [chances(appeal, shown=rng.choice(600, 10, replace=False)) for _ in range(3_000)]
    assert np.mean([w.slate for w in worth]) == pytest.approx(worth[0].random, rel=0.03)
    assert worth[0].oracle > 3 * worth[0].random


@pytest.mark.parametrize("invent", [invent_catalogue, invent_shoppers])
def test_an_empty_shop_is_refused(invent: object) -> None:
    with pytest.raises(ValueError, match="got n=0"):
        invent(0, rng=np.random.default_rng(0))  # type: ignore[operator]


def test_only_those_named_are_swapped() -> None:
    who = np.arange(len(SHOPPERS)) % 2 == 0
    half, whole = SHOPPERS.swapped(who=who), SHOPPERS.swapped()
    assert np.array_equal(half.category_taste[who], whole.category_taste[who])
    assert np.array_equal(half.style_taste[~who], SHOPPERS.style_taste[~who])
    assert np.array_equal(half.category_taste[~who], SHOPPERS.category_taste[~who])
