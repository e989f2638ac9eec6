"""Workers come, go and are killed while shoppers shop: nothing is lost, and nothing counts twice."""

import os
import signal
from pathlib import Path

import pytest

from events.topics import USER_TOPICS
from streams.kafka_home import KafkaHome
from streams.settings import KafkaSettings
from tests.e2e.conftest import MakeSettings
from tests.e2e.streaming import assert_exactly_once, shoppers
from tests.servers import best_broker
from tests.storefront import Storefront, purchase, view, visits
from tests.streams.deadlines import wait_for
from tests.systems import recommenders, small_settings, wait_shared

pytestmark = pytest.mark.e2e
EVENTS = "headwater_source_events_total"


@pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True)
def test_two_recommenders_know_what_one_would_and_a_third_comes_and_goes(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    storefront = Storefront(settings)
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        wait_shared([pair], partitions=settings.kafka.partitions)

        # What shoppers of every partition do is known to both, whoever answers them.
        habit = [purchase(f"habit-{n}", "lamp", "bulb", number=n) for n in range(24)]
        sent = storefront.send(habit)
        assert {one.place.partition for one in sent} == set(range(settings.kafka.partitions))
        storefront.wait_answered(sent)
        wait_for(
            lambda: all(pair.metric(name, EVENTS) == len(sent) for name in pair.metrics_ports),
            what="both know all",
        )
        asked = storefront.send([view(f"new-{n}", "lamp", number=1000 + n) for n in range(24)])
        assert {one.place.partition for one in asked} == set(range(settings.kafka.partitions))
        storefront.wait_answered(asked)
        for one in asked:
            assert "bulb" in [item.item_id for item in storefront.answer(one).items[:2]], one
        answered = [
            pair.metric(name, "headwater_recommendations_total") for name in sorted(pair.metrics_ports)
        ]
        assert min(answered) > 0  # both took part

        # A third joins, works and leaves.
        with shoppers(storefront) as visited:
            with recommenders(settings, log_dir=tmp_path / "third") as third:
                wait_shared([pair, third], partitions=settings.kafka.partitions)
                before = third.metric("recommender-1", "headwater_recommendations_total")
                wait_for(
                    lambda: third.metric("recommender-1", "headwater_recommendations_total") > before,
                    what="the third answers shoppers",
                )
            after = len(visited)
            wait_for(lambda: len(visited) > after + 100, what="shoppers go on without the third")
        storefront.wait_answered([*sent, *asked, *visited])
        assert pair.supervisor.restarts == dict.fromkeys(pair.metrics_ports, 0)
    assert_exactly_once(storefront, settings=settings)


def test_recommender_killed_in_mid_stream(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    storefront = Storefront(settings)
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        wait_shared([pair], partitions=settings.kafka.partitions)
        with shoppers(storefront) as visited:
            wait_for(lambda: len(storefront.slates()) > 50, what="slates")
            os.kill(pair.supervisor.pids["recommender-1"], signal.SIGKILL)
            wait_for(lambda: pair.supervisor.restarts["recommender-1"] == 1, what="a restart")
            wait_for(lambda: "recommender-1" not in pair.ready(), what="the killed one is gone")
            wait_shared([pair], partitions=settings.kafka.partitions)
        storefront.wait_answered(visited)
        assert pair.supervisor.restarts == {"recommender-1": 1, "recommender-2": 0}
    assert_exactly_once(storefront, settings=settings)


if os.environ.get("KAFKA_HOME"):

    def test_apache_kafka_killed_and_started_again(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
        with KafkaHome(Path(os.environ["KAFKA_HOME"]), folder=tmp_path / "kafka") as home:
            kafka = KafkaSettings(bootstrap_servers=home.bootstrap_servers, partitions=4)
            settings = small_settings(kafka, redis_url=redis_url, redis_prefix=redis_prefix, folder=tmp_path)
            storefront = Storefront(settings)
            with recommenders(settings, log_dir=tmp_path) as one:
                wait_shared([one], partitions=4)
                sent = storefront.send(visits(200, users=60))
                storefront.wait_answered(sent)
                sent += storefront.send(visits(600, users=60, first=10_000))  # acknowledged, then:
                home.kill()
                home.start()
                sent += storefront.send(visits(100, users=60, first=20_000))
                storefront.wait_answered(sent, timeout_s=120)
            assert len(storefront.log(*USER_TOPICS)) == len(sent)
            assert_exactly_once(storefront, settings=settings)
