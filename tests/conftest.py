"""Servers shared by the whole test run; each test gets topics and keys of its own on them."""

import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from streams import processes
from streams.embedded import EmbeddedRedis
from streams.settings import KafkaSettings
from streams.system import System
from tests.servers import EMBEDDED, KAFKA, Broker, broker_kinds, running_broker
from tests.systems import quick_system, small_settings

# The same examples in every run: a suite that fails by chance is a suite nobody believes. To look for new ones:
# pytest --hypothesis-profile=explore.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")

_numbers = itertools.count(1)
SHOP_SLATE = 60
_SERVERS = frozenset({"broker", "redis_url"})


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs servers, one after the other, in one process; in the other, beside it, what needs none.

    An idle broker and three idle workers take half a core: so a broker is started when the tests on the one before
    are over, and the tests that share a system come last on each broker.
    """
    for item in items:
        if _needs_servers(item):
            item.add_marker(pytest.mark.xdist_group("systems"))
    items.sort(key=lambda item: (not _needs_servers(item), _broker(item), _shares_a_system(item)))


def _broker(item: pytest.Item) -> int:
    """The place of the test's broker among those that are started for all; 0 where it has none of them."""
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("broker") if callspec is not None else None
    return 0 if kind is None else 1 + (EMBEDDED, KAFKA).index(kind)


def _shares_a_system(item: pytest.Item) -> bool:
    return "shared_shop" in getattr(item, "fixturenames", ())


def _needs_servers(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None or not _SERVERS.isdisjoint(
        getattr(item, "fixturenames", ())
    )


@pytest.fixture(scope="session", params=broker_kinds(os.environ))
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A running broker: the embedded one, then Apache Kafka where it is at hand."""
    with running_broker(request.param, environ=os.environ) as running:
        yield running


@pytest.fixture
def kafka(broker: Broker) -> KafkaSettings:
    """Settings for `broker` with a topic prefix that no other test uses."""
    return broker.kafka.model_copy(update={"topic_prefix": f"t{os.getpid()}-{next(_numbers)}-"})


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a running Redis-compatible server."""
    with EmbeddedRedis() as server:
        yield server.url


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix that no other test uses."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def free_port() -> int:
    """A port on 127.0.0.1 where nothing listens."""
    return processes.free_port()


@pytest.fixture(scope="session")
def shared_shop(broker: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole small system: a recommender, the learner and the encoder, as processes of their own.

    Shared by tests that bring their own shoppers and items. What was bought is not recommended again, and a
    slate is so long that it holds whatever the tests have put on sale.
    """
    folder = tmp_path_factory.mktemp("shop")
    prefix = f"t{os.getpid()}-shop-{next(_numbers)}"
    settings = small_settings(
        broker.kafka.model_copy(update={"topic_prefix": f"{prefix}-"}),
        redis_url=redis_url,
        redis_prefix=prefix,
        folder=folder,
        serving={"repeat": False, "slate_size": SHOP_SLATE},
    )
    with quick_system(settings, log_dir=folder) as system:
        system.wait_ready()
        yield system
