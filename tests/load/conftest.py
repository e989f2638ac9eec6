"""Headwater's topics on a real broker, under a prefix of each test's own."""

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from events.topics import Topic
from streams.settings import KafkaSettings


def create_topics(kafka: KafkaSettings, *, partitions: int) -> None:
    """Creates every topic under the settings' prefix."""
    admin = KafkaAdminClient(**kafka.kafka_python())
    try:
        admin.create_topics(
            [NewTopic(f"{kafka.topic_prefix}{topic.value}", partitions, 1) for topic in Topic]
        )
    finally:
        admin.close()


@pytest.fixture
def shop(kafka: KafkaSettings) -> KafkaSettings:
    """A broker with all topics, four partitions each."""
    create_topics(kafka, partitions=4)
    return kafka
