"""Servers shared by the whole test run; each test gets topics and keys of its own on them."""

import itertools
import os
from collections.abc import Iterator

import pytest

from streams import processes
from streams.embedded import EmbeddedRedis
from streams.settings import KafkaSettings
from tests.servers import Broker, broker_kinds, running_broker

_numbers = itertools.count(1)


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
