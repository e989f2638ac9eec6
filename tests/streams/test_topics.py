from concurrent.futures import ThreadPoolExecutor

import pytest

from events.topics import COMPACTED_TOPICS, USER_TOPICS, Topic
from streams import topics
from streams.embedded import EmbeddedBroker
from streams.errors import BrokerUnreachable, TopicMismatch
from streams.kafka_admin import admin_client
from streams.settings import KafkaSettings
from tests.servers import KAFKA, Broker


def test_user_topics_and_recommendations_share_one_partition_count() -> None:
    wanted = topics.specs(KafkaSettings(partitions=6))
    assert {wanted[topic].partitions for topic in [*USER_TOPICS, Topic.RECOMMENDATIONS]} == {6}
    assert wanted[Topic.ADAPTERS].partitions == wanted[Topic.DEAD_LETTERS].partitions == 1


def test_what_is_state_is_compacted_and_what_is_news_is_deleted_in_time() -> None:
    wanted = topics.specs(KafkaSettings(events_retention_days=2))
    compacted = {topic for topic, spec in wanted.items() if spec.cleanup_policy == "compact"}
    assert compacted == set(COMPACTED_TOPICS)
    assert wanted[Topic.CLICKS].retention_ms == 2 * 24 * 3600 * 1000
    assert topics.specs(KafkaSettings())[Topic.CLICKS].retention_ms == topics.FOR_EVER


def test_every_name_has_the_prefix() -> None:
    wanted = topics.specs(KafkaSettings(topic_prefix="shop-"))
    assert [spec.name for spec in wanted.values()] == [f"shop-{topic}" for topic in Topic]


def test_missing_topics_are_created_once(kafka: KafkaSettings) -> None:
    first = topics.ensure(kafka)
    assert sorted(first.created) == sorted(spec.name for spec in topics.specs(kafka).values())
    assert first.ok
    second = topics.ensure(kafka)
    assert second.created == ()
    assert sorted(second.present) == sorted(first.created)
    assert topics.inspect(kafka).ok


def test_topics_have_the_partitions_that_were_asked_for(kafka: KafkaSettings) -> None:
    topics.ensure(kafka)
    with admin_client(kafka) as client:
        described = client.describe_topics([spec.name for spec in topics.specs(kafka).values()])
    assert {topic["name"]: len(topic["partitions"]) for topic in described} == {
        spec.name: spec.partitions for spec in topics.specs(kafka).values()
    }


def test_several_processes_may_create_topics_at_once(kafka: KafkaSettings) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(topics.ensure, [kafka] * 4))
    assert all(report.ok for report in reports)
    assert len({name for report in reports for name in report.created}) == len(Topic)
    assert sum(len(report.created) for report in reports) == len(Topic)


def test_other_partition_count_is_refused_with_what_to_do(kafka: KafkaSettings) -> None:
    topics.ensure(kafka)
    more = kafka.model_copy(update={"partitions": kafka.partitions + 1})
    with pytest.raises(TopicMismatch, match=f"has {kafka.partitions} partitions.*set KAFKA_PARTITIONS="):
        topics.ensure(more)
    report = topics.inspect(more)
    assert set(report.refused) == {
        spec.name for spec in topics.specs(kafka).values() if spec.partitions == kafka.partitions
    }


def test_other_cleanup_policy_is_refused(kafka: KafkaSettings) -> None:
    name = topics.topic_name(Topic.ITEMS, kafka=kafka)
    with admin_client(kafka) as client:
        configs = {"cleanup.policy": "delete"}
        client.create_topics(
            {name: {"num_partitions": kafka.partitions, "replication_factor": 1, "configs": configs}}
        )
        client.wait_for_topics([name])
    with pytest.raises(TopicMismatch, match=r"has cleanup\.policy delete, it needs compact"):
        topics.ensure(kafka)


def test_other_retention_is_reported_but_not_refused(kafka: KafkaSettings, broker: Broker) -> None:
    topics.ensure(kafka)
    shorter = kafka.model_copy(update={"events_retention_days": 3})
    report = topics.ensure(shorter)
    assert report.refused == ()
    assert set(report.differences) == {topics.topic_name(topic, kafka=kafka) for topic in USER_TOPICS}
    assert "KAFKA_…_RETENTION_DAYS" in next(iter(report.differences.values()))
    assert broker.kind == KAFKA or "retention.ms -1" in next(iter(report.differences.values()))


def test_missing_topics_are_only_reported_by_inspect(kafka: KafkaSettings) -> None:
    report = topics.inspect(kafka)
    assert len(report.refused) == len(Topic)
    assert all("headwater topics ensure" in text for text in report.differences.values())
    with admin_client(kafka) as client:
        assert not [name for name in client.list_topics() if name.startswith(kafka.topic_prefix)]


@pytest.fixture
def stopped_broker() -> str:
    with EmbeddedBroker() as broker:
        return broker.bootstrap_servers


def test_unreachable_broker_says_what_to_check(stopped_broker: str) -> None:
    settings = KafkaSettings(bootstrap_servers=stopped_broker)
    with (
        pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at .*check KAFKA_BOOTSTRAP_SERVERS"),
        admin_client(settings, timeout_s=0.5),
    ):
        pass


def test_without_a_broker_setting_nothing_is_connected() -> None:
    with pytest.raises(BrokerUnreachable, match="set KAFKA_BOOTSTRAP_SERVERS"):
        topics.ensure(KafkaSettings())
