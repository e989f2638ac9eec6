"""Apache Kafka as a child. What needs its jars runs where KAFKA_HOME names a folder that has them."""

import os
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams import topics
from streams.bounded_read import read_to_end
from streams.errors import ProcessError, ServerUnavailable
from streams.kafka_home import KafkaHome
from streams.settings import KafkaSettings
from tests.servers import EMBEDDED, KAFKA, broker_kinds

HOME = os.environ.get("KAFKA_HOME", "")


def test_folder_without_kafkas_jars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="must be a folder with Kafka's jars in libs/"):
        KafkaHome(tmp_path)


@pytest.mark.parametrize(
    ("environ", "kinds"),
    [
        ({}, [EMBEDDED]),
        ({"KAFKA_HOME": "kafka"}, [EMBEDDED, KAFKA]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}, [EMBEDDED, KAFKA]),
    ],
)
def test_real_broker_is_tested_where_it_is_at_hand(environ: dict[str, str], kinds: list[str]) -> None:
    assert broker_kinds(environ) == kinds


if HOME:

    def test_acknowledged_records_survive_a_kill_with_9(tmp_path: Path) -> None:
        home = KafkaHome(Path(HOME), folder=tmp_path)
        with home:
            kafka = KafkaSettings(bootstrap_servers=home.bootstrap_servers, partitions=2)
            assert topics.ensure(kafka).ok
            producer = Producer({**kafka.confluent(), "acks": "all", "log_level": 0})
            for number in range(500):
                producer.produce("clicks", key=str(number).encode(), value=str(number).encode())
            assert producer.flush(30) == 0
            home.kill()
            with pytest.raises(ProcessError, match="has not been started"):
                _ = home.child
            home.start()
            assert topics.inspect(kafka).ok
            found = {int(record.value) for record in read_to_end(kafka, topics=["clicks"])}
            assert found == set(range(500))
