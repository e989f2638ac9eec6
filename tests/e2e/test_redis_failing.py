"""Redis emptied, away, hanging and slow: shoppers get slates, and in the end every event counts exactly once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.settings import KafkaSettings, Settings
from streams.system import System
from tests.e2e.streaming import assert_exactly_once, shoppers
from tests.failing_redis import FailingRedis, SlowWire
from tests.servers import best_broker
from tests.storefront import Storefront, stored, visits
from tests.streams.deadlines import wait_for
from tests.systems import recommenders, small_settings, total, wait_shared

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True)]
USERS = 60
REBUILDS = "headwater_rebuilds_total"
REBUILDING = "headwater_rebuilding_partitions"
AWAY = "headwater_store_away"


@pytest.fixture
def redis() -> Iterator[FailingRedis]:
    with FailingRedis() as server:
        yield server


@pytest.fixture
def settings(kafka: KafkaSettings, redis: FailingRedis, redis_prefix: str, tmp_path: Path) -> Settings:
    return small_settings(
        kafka, redis_url=redis.url, redis_prefix=redis_prefix, folder=tmp_path, redis={"patience_s": 0.5}
    )


def degraded(system: System, kind: str) -> float:
    return total(system, f'headwater_degradations_total{{kind="{kind}"}}')


def whole(*systems: System) -> bool:
    return all(total(one, REBUILDING) == total(one, AWAY) == 0 for one in systems)


def history(settings: Settings, tmp_path: Path, *, events: int) -> Storefront:
    """A shop whose states hold that many events."""
    storefront = Storefront(settings)
    with recommenders(settings, log_dir=tmp_path / "before") as one:
        wait_shared([one], partitions=settings.kafka.partitions)
        sent = storefront.send(visits(events, users=USERS))
        storefront.wait_answered(sent, timeout_s=120)
    return storefront


def test_redis_killed_and_started_empty_is_filled_from_the_log_while_shoppers_get_slates(
    settings: Settings, redis: FailingRedis, tmp_path: Path
) -> None:
    storefront = Storefront(settings)
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        wait_shared([pair], partitions=settings.kafka.partitions)
        sent = storefront.send(visits(12_000, users=USERS))
        storefront.wait_answered(sent, timeout_s=120)
        with shoppers(storefront, users=USERS) as visited:
            wait_for(lambda: len(visited) > 200, what="shoppers")
            redis.kill()
            wait_for(lambda: degraded(pair, "no-state") > 20, what="slates without states")
            redis.start()
            wait_for(lambda: total(pair, REBUILDS) >= settings.kafka.partitions, what="the loss is noticed")
            wait_for(lambda: degraded(pair, "rebuilding") > 0, what="slates in the rebuild")
            wait_for(lambda: whole(pair), what="states are whole", timeout_s=90)
        storefront.wait_answered([*sent, *visited])
        wait_for(lambda: sum(stored([], settings=settings)[1].values()) == 0, what="nobody waits")
        assert pair.supervisor.restarts == dict.fromkeys(pair.metrics_ports, 0)
    slates = storefront.slates()
    assert {slate.degraded for slate in slates} >= {"no-state", "rebuilding"}
    assert all(slate.items for slate in slates if slate.degraded in ("no-state", "rebuilding"))
    assert_exactly_once(storefront, settings=settings)


@pytest.mark.long
def test_worker_that_starts_on_an_emptied_redis_rebuilds_though_the_group_has_committed(
    settings: Settings, redis: FailingRedis, tmp_path: Path
) -> None:
    storefront = history(settings, tmp_path, events=3_000)
    before = len(storefront.slates())
    redis.kill()
    redis.start()
    with recommenders(settings, log_dir=tmp_path) as one:  # and no shopper comes
        wait_shared([one], partitions=settings.kafka.partitions)
        wait_for(lambda: total(one, REBUILDS) == settings.kafka.partitions, what="the loss is noticed")
        wait_for(lambda: whole(one), what="states are whole", timeout_s=90)
        replayed = total(one, "headwater_replayed_events_total")
    assert len(storefront.slates()) == before  # nobody is told anything new
    assert replayed > 3_000
    assert_exactly_once(storefront, settings=settings)


@pytest.mark.long
def test_rebuild_that_is_killed_and_rebalanced_and_emptied_again_is_exact(
    settings: Settings, redis: FailingRedis, tmp_path: Path
) -> None:
    storefront = history(settings, tmp_path, events=20_000)
    redis.kill()
    redis.start()
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        with shoppers(storefront, users=USERS) as visited:
            wait_for(
                lambda: 0 < total(pair, "headwater_replayed_events_total") < 15_000,
                what="in the midst of the rebuild",
                timeout_s=60,
            )
            os.kill(pair.supervisor.pids["recommender-1"], signal.SIGKILL)
            wait_for(lambda: pair.supervisor.restarts["recommender-1"] == 1, what="a restart")
            redis.kill()
            redis.start()
            wait_for(lambda: len(pair.ready()) == 2, what="both work", timeout_s=90)
            after = len(visited)
            wait_for(lambda: len(visited) > after + 100, what="shoppers go on")
            wait_for(lambda: whole(pair), what="states are whole", timeout_s=120)
        storefront.wait_answered(visited)
        wait_for(lambda: whole(pair), what="states are still whole", timeout_s=120)
        assert pair.supervisor.restarts == {"recommender-1": 1, "recommender-2": 0}
    assert_exactly_once(storefront, settings=settings)


@pytest.mark.long
def test_hanging_redis_costs_states_in_slates_and_nothing_else(
    settings: Settings, redis: FailingRedis, tmp_path: Path
) -> None:
    storefront = Storefront(settings)
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        wait_shared([pair], partitions=settings.kafka.partitions)
        with shoppers(storefront, users=USERS) as visited:
            wait_for(lambda: len(storefront.slates()) > 50, what="slates")
            for _ in range(2):
                count = degraded(pair, "no-state")
                redis.hang()
                wait_for(lambda count=count: degraded(pair, "no-state") > count + 50, what="slates go on")  # type: ignore[misc]
                assert total(pair, AWAY) > 0
                redis.go_on()
                wait_for(lambda: whole(pair), what="states are whole", timeout_s=60)
        storefront.wait_answered(visited)
        wait_for(lambda: whole(pair), what="states are still whole")
        wait_for(lambda: sum(stored([], settings=settings)[1].values()) == 0, what="nobody waits")
        assert pair.supervisor.restarts == dict.fromkeys(pair.metrics_ports, 0)
    assert_exactly_once(storefront, settings=settings)


def test_slow_redis_makes_slates_late_and_nothing_else(
    settings: Settings, redis: FailingRedis, tmp_path: Path
) -> None:
    storefront = Storefront(settings)
    with SlowWire(redis.port) as wire:
        slow = settings.updated(
            redis={"url": f"redis://127.0.0.1:{wire.port}/0", "patience_s": 10.0, "socket_timeout_s": 10.0}
        )
        with recommenders(slow, log_dir=tmp_path) as one:
            wait_shared([one], partitions=settings.kafka.partitions)
            with shoppers(storefront, users=USERS) as visited:
                wait_for(lambda: len(storefront.slates()) > 50, what="slates")
                wire.delay_s = 0.3  # of each of a batch's two calls
                before, count = len(storefront.slates()), len(visited)
                wait_for(lambda: len(storefront.slates()) > before + 200, what="slates go on", timeout_s=60)
                wire.delay_s = 0.0
            assert len(visited) > count
            storefront.wait_answered(visited)
            assert one.supervisor.restarts == {"recommender-1": 0}
            assert total(one, REBUILDS) == total(one, AWAY) == degraded(one, "no-state") == 0
    assert_exactly_once(storefront, settings=settings)
