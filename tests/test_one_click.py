"""The architecture in one test: a click on the broker becomes a slate on the topic and in Redis."""

import pytest

from events.ids import partition_of
from events.recommendation import decode_recommendation
from events.topics import Topic
from index.sources.assembly import NAMES
from streams.system import System
from streams.topics import topic_name
from tests.storefront import Storefront, purchase, slate_in_redis, view

pytestmark = pytest.mark.e2e


def test_one_click(shared_shop: System) -> None:
    settings, storefront = shared_shop.settings, Storefront(shared_shop.settings)
    clicks = topic_name(Topic.CLICKS, kafka=settings.kafka)

    # 1. Others have bought kettle and teapot together, and the recommender has seen it.
    basket = [purchase(f"other-{n}", "kettle", "teapot", number=n) for n in range(5)]
    storefront.wait_answered(storefront.send(basket))

    # 2. Ann clicks on the kettle: a record on `clicks`, on the partition of her key.
    [click] = storefront.send([view("ann", "kettle", number=10)])
    partition = partition_of(b"ann", partitions=settings.kafka.partitions)
    assert click.place[:2] == (clicks, partition)

    # 3. The recommender folds it into her state and makes a slate: a record on `recommendations`.
    slate = storefront.answer(click)
    assert (slate.user_id, len(slate.rec_id)) == ("ann", 32)

    # 4. The record says which inputs it knows, and with what it was made.
    assert slate.seen_offsets[f"{clicks}-{partition}"] == click.place.offset
    assert slate.model_version >= 0
    assert slate.index_version >= 0
    assert (slate.degraded, slate.fresh_ms >= 0) == ("", True)

    # 5. What goes with a kettle is in it, with the probability of its place, and why.
    teapot = next(item for item in slate.items if item.item_id == "teapot")
    assert "session_covisitation" in teapot.sources
    assert [item.slot for item in slate.items] == list(range(len(slate.items)))
    for item in slate.items:
        assert 0.0 < item.propensity <= 1.0
        assert item.reason
        assert set(item.sources) <= set(NAMES)

    # 6. The bandit chose how diverse it is, with a known probability.
    assert 0.0 < slate.policy.arm_propensity <= 1.0
    assert slate.policy.arm

    # 7. The same bytes lie in Redis, for whoever renders the page.
    raw = slate_in_redis("ann", settings=settings)
    assert raw is not None
    assert decode_recommendation(raw) == slate
