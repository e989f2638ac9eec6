"""What the learner publishes serves a moment later, and what is damaged never does."""

from itertools import count

import pytest

from events.topics import Topic
from streams.system import System
from tests.storefront import Storefront, view
from tests.streams.deadlines import wait_for

pytestmark = pytest.mark.e2e
_numbers = count(700_000)


def clicks(storefront: Storefront, n: int = 64) -> int:
    """Some shoppers walk through a few items; the model version that then serves."""
    events = [view(f"walker-{n % 8}", f"walk-{n % 5}", number=n) for _ in range(n) for n in [next(_numbers)]]
    sent = storefront.send(events)
    return storefront.answer(sent[-1]).model_version


def version_above(storefront: Storefront, version: int) -> int:
    """The version that serves once it is above `version`, while shoppers go on."""
    found = [clicks(storefront)]

    def risen() -> bool:
        found.append(clicks(storefront, 8))
        return found[-1] > version

    wait_for(risen, what=f"a model above version {version}", timeout_s=60)
    return found[-1]


def test_adapters_are_swapped_in_while_serving_and_a_damaged_one_is_left_out(shared_shop: System) -> None:
    storefront = Storefront(shared_shop.settings)
    first = version_above(storefront, 0)
    second = version_above(storefront, first)
    good = storefront.log(Topic.ADAPTERS)[-1]
    assert good.value is not None
    for damaged in (b"", b"\x00" * 64, good.value[: len(good.value) // 2]):
        storefront.send_raw([(Topic.ADAPTERS, b"ranker", damaged)], headers=good.headers)
    storefront.send_raw([(Topic.ADAPTERS, b"ranker", good.value)])  # whole, but nothing says what it is
    wait_for(
        lambda: (
            shared_shop.log_tail("recommender-1", lines=200).count("left out, the last one serves on") >= 4
        ),
        what="four adapters left out",
    )
    assert clicks(storefront, 8) >= second
    version_above(storefront, second)
    assert shared_shop.supervisor.restarts == dict.fromkeys(shared_shop.metrics_ports, 0)
