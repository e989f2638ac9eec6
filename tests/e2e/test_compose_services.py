"""What docker-compose.yml starts, started: each service's command with its own environment, as plain processes."""

import os
import sys
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from streams.embedded import EmbeddedBroker, EmbeddedRedis
from streams.processes import Child, free_port, spawn
from streams.settings import Settings, load
from tests.compose_services import ComposeService, services
from tests.storefront import Storefront, slate_in_redis, view

pytestmark = pytest.mark.e2e
OWN = ("HEADWATER_", "KAFKA_", "REDIS_")


def environment(
    service: ComposeService, servers: dict[str, str], *, port: int, folder: Path
) -> dict[str, str]:
    """The service's variables with the addresses of this machine in place of the composition's."""
    here = {**servers, "HEADWATER_OBSERVABILITY_METRICS_PORT": str(port)}
    if "HEADWATER_LEARNER_SNAPSHOT_DIR" in service.environment:
        here["HEADWATER_LEARNER_SNAPSHOT_DIR"] = str(folder / "snapshots")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(OWN)}
    return {**kept, **service.local_environment(here)}


def start(service: ComposeService, *, env: dict[str, str], folder: Path) -> Child:
    """`headwater …` of this checkout."""
    argv = [sys.executable, "-m", "cli.main", *service.command[1:]]
    return spawn(argv, name=service.name, env=env, log_file=folder / f"{service.name}.log")


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            return "headwater_ready 1.0" in answer.read().decode()
    except OSError:
        return False


def test_every_service_of_the_compose_file_runs_and_a_click_goes_through(tmp_path: Path) -> None:
    ours = {name: service for name, service in services().items() if service.ours}
    with ExitStack() as stack:
        broker, redis = stack.enter_context(EmbeddedBroker()), stack.enter_context(EmbeddedRedis())
        servers = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "REDIS_URL": redis.url}
        ports = {name: free_port() for name in ours}
        envs = {
            name: environment(service, servers, port=ports[name], folder=tmp_path)
            for name, service in ours.items()
        }
        topics = start(ours.pop("topics"), env=envs["topics"], folder=tmp_path)
        assert topics.wait(timeout_s=60) == 0, topics.log_tail()
        assert "created  clicks" in topics.log_tail(lines=40)

        children = {name: start(service, env=envs[name], folder=tmp_path) for name, service in ours.items()}
        for child in children.values():
            stack.callback(child.kill)
        for name, child in children.items():
            child.wait_until(partial(ready, ports[name]), timeout_s=120, what="readiness")

        settings: Settings = load(
            {name: text for name, text in envs["recommender"].items() if name.startswith(OWN)},
            folder=tmp_path,
        )
        storefront = Storefront(settings)
        [click] = storefront.send([view("ann", "kettle", number=1)])
        [second] = storefront.send([view("bob", "kettle", number=2)])
        assert storefront.answer(click).user_id == "ann"
        assert storefront.answer(second).user_id == "bob"
        assert slate_in_redis("bob", settings=settings) is not None
        assert {name for name, child in children.items() if not child.running} == set()
        for child in children.values():
            child.terminate()
        for child in children.values():
            assert child.wait(timeout_s=20) is not None, f"{child.name} does not end on SIGTERM"
