"""The catalogue as shoppers meet it: what is described is recommended, what is gone or bought is not."""

from collections.abc import Callable
from itertools import count

import pytest

from events.ids import ItemId
from events.recommendation import Recommendation
from events.types import CatalogueItem
from streams.system import System
from tests.storefront import START_MS, Storefront, purchase, view
from tests.streams.deadlines import wait_for

pytestmark = pytest.mark.e2e
_numbers = count(500_000)


def item(item_id: str, name: str, **more: object) -> CatalogueItem:
    """On sale since before any shopper came, in the time of the events."""
    return CatalogueItem(item_id=ItemId(item_id), item_name=name, occurred_at=START_MS, **more)  # type: ignore[arg-type]


def slate_of(storefront: Storefront, user: str, *, clicks: str) -> Recommendation:
    """The answer to a new click of the user."""
    [sent] = storefront.send([view(user, clicks, number=next(_numbers))])
    return storefront.answer(sent)


def newcomers_until(
    storefront: Storefront, right: Callable[[Recommendation], bool], *, clicks: str, what: str
) -> Recommendation:
    """The slate of the first newcomer for whom it is right; newcomers keep coming."""
    found: list[Recommendation] = []

    def newcomer() -> bool:
        found.append(slate_of(storefront, f"newcomer-{next(_numbers)}", clicks=clicks))
        return right(found[-1])

    try:
        wait_for(newcomer, what=what, timeout_s=10)
    except AssertionError as error:
        raise AssertionError(f"{error}: the last slate was {ids(found[-1])}") from error
    return found[-1]


def ids(slate: Recommendation) -> list[str]:
    return [one.item_id for one in slate.items]


def test_described_item_is_recommended_then_sold_out_then_back_then_removed(shared_shop: System) -> None:
    storefront = Storefront(shared_shop.settings)
    mug = item("mug", "Blue enamel mug", item_category="Kitchen", price=7.5)
    storefront.describe(mug, item("jug", "Blue enamel jug", item_category="Kitchen", price=17.5))
    slate = newcomers_until(
        storefront, lambda s: {"mug", "jug"} <= set(ids(s)), clicks="jug", what="mug on sale"
    )
    [shown] = [one for one in slate.items if one.item_id == "mug"]
    assert shown.item_name == "Blue enamel mug"
    assert {"new_arrivals", "text_neighbours"} & set(shown.sources)
    assert slate.index_version > 0

    storefront.describe(item("mug", "Blue enamel mug", availability="out_of_stock"))
    newcomers_until(storefront, lambda s: "mug" not in ids(s), clicks="jug", what="mug sold out")

    storefront.describe(mug)
    newcomers_until(storefront, lambda s: "mug" in ids(s), clicks="jug", what="mug back")

    storefront.remove("mug")
    slate = newcomers_until(storefront, lambda s: "mug" not in ids(s), clicks="jug", what="mug removed")
    assert "jug" in ids(slate)


def test_bought_item_is_not_recommended_again_unless_it_is_used_up(shared_shop: System) -> None:
    storefront = Storefront(shared_shop.settings)
    storefront.describe(
        item("vase", "Tall glass vase"),
        item("soap", "Lavender soap", consumable=True),
        item("tray", "Oak tray"),
    )
    both = {"vase", "soap", "tray"}
    newcomers_until(storefront, lambda s: both <= set(ids(s)), clicks="tray", what="all on sale")
    [bought] = storefront.send([purchase("buyer", "vase", "soap", number=next(_numbers))])
    storefront.answer(bought)
    slate = slate_of(storefront, "buyer", clicks="tray")
    assert "vase" not in ids(slate)
    assert "soap" in ids(slate)
    assert "vase" in ids(slate_of(storefront, f"newcomer-{next(_numbers)}", clicks="tray"))


def test_newcomers_first_click_on_an_item_nobody_knows_gets_a_whole_slate(shared_shop: System) -> None:
    storefront = Storefront(shared_shop.settings)
    popular = [f"hit-{n}" for n in range(6)]
    sent = storefront.send(
        [view(f"fan-{fan}", hit, number=next(_numbers)) for fan in range(4) for hit in popular]
    )
    storefront.wait_answered(sent)
    slate = slate_of(storefront, "stranger", clicks="never-heard-of")
    assert set(popular) <= set(ids(slate))
    assert len(set(ids(slate))) == len(slate.items)
    assert all(one.reason and one.sources for one in slate.items)
