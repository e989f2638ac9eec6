"""Headwater's topics as they should be, and their creation and verification on a broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError

from events.topics import COMPACTED_TOPICS, USER_TOPICS, Topic
from streams.errors import BrokerUnreachable, TopicMismatch
from streams.kafka_admin import admin_client, said
from streams.kafka_settings import KafkaSettings

CleanupPolicy = Literal["delete", "compact"]

DAY_MS = 24 * 3600 * 1000
FOR_EVER = -1
VISIBLE_TIMEOUT_MS = 20_000
NOT_PERMITTED = "this user may not even describe it"
LETTER_MAX_BYTES = 2 * 1024 * 1024  # the largest record of another topic, and its letter's headers
SINGLE_PARTITION = (Topic.ADAPTERS, Topic.DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be on the broker."""

    name: str  # with the deployment's prefix
    partitions: int
    replication_factor: int
    cleanup_policy: CleanupPolicy
    retention_ms: int | None  # None: the policy is compact; FOR_EVER: never deleted
    max_message_bytes: int | None = None  # None: the broker's own limit, usually 1 MB

    def configs(self) -> dict[str, str]:
        """The topic's configuration in the broker's words."""
        configs: dict[str, str] = {"cleanup.policy": self.cleanup_policy}
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        if self.max_message_bytes is not None:
            configs["max.message.bytes"] = str(self.max_message_bytes)
        return configs


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `ensure` found and did, by topic name."""

    created: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    differences: Mapping[str, str] = field(default_factory=dict)  # harmful or not, with what to do
    refused: tuple[str, ...] = ()  # the names in `differences` that the system cannot run with

    @property
    def ok(self) -> bool:
        return not self.differences


def topic_name(topic: Topic, *, kafka: KafkaSettings) -> str:
    """The topic's name on the broker.

    >>> topic_name(Topic.CLICKS, kafka=KafkaSettings(topic_prefix="shop-"))
    'shop-clicks'
    """
    return f"{kafka.topic_prefix}{topic.value}"


def topics_read(kafka: KafkaSettings, *topics: Topic) -> dict[str, Topic]:
    """Full topic name -> what it carries."""
    return {topic_name(topic, kafka=kafka): topic for topic in topics}


def specs(kafka: KafkaSettings) -> dict[Topic, TopicSpec]:
    """Every topic as the settings want it.

    User-keyed topics, recommendations and item topics share one partition count, so that one worker owns a
    user across topics; adapters and dead letters are ordered as a whole, in one partition.
    """
    return {topic: _spec(topic, kafka=kafka) for topic in Topic}


def ensure(kafka: KafkaSettings) -> TopicReport:
    """Create the topics that are missing, wait until they are visible, and compare all with the settings.

    Existing topics are never changed. Safe to run at any time and from several processes at once. Raises
    TopicMismatch when a topic has a partition count or a cleanup policy that the system cannot run with,
    BrokerUnreachable when no broker answers.
    """
    wanted = list(specs(kafka).values())
    with admin_client(kafka) as client:
        existing = _partition_counts(client, names=[spec.name for spec in wanted])
        missing = [spec for spec in wanted if spec.name not in existing]
        created = _create(client, missing=missing)
        if missing:
            client.wait_for_topics([spec.name for spec in missing], timeout_ms=VISIBLE_TIMEOUT_MS)
        report = _compare(client, wanted=wanted, created=created)
    if report.refused:
        lines = "\n".join(f"  {name}: {report.differences[name]}" for name in report.refused)
        raise TopicMismatch(f"topics differ from the settings:\n{lines}")
    return report


def inspect(kafka: KafkaSettings) -> TopicReport:
    """Like `ensure`, but creates nothing and raises nothing for a difference; a missing topic is one."""
    with admin_client(kafka) as client:
        return _compare(client, wanted=list(specs(kafka).values()), created=())


def _spec(topic: Topic, *, kafka: KafkaSettings) -> TopicSpec:
    compacted = topic in COMPACTED_TOPICS
    return TopicSpec(
        name=topic_name(topic, kafka=kafka),
        partitions=1 if topic in SINGLE_PARTITION else kafka.partitions,
        replication_factor=kafka.replication_factor,
        cleanup_policy="compact" if compacted else "delete",
        retention_ms=None if compacted else _retention_ms(topic, kafka=kafka),
        max_message_bytes=LETTER_MAX_BYTES if topic is Topic.DEAD_LETTERS else None,
    )


def _retention_ms(topic: Topic, *, kafka: KafkaSettings) -> int:
    if topic in USER_TOPICS:
        days = kafka.events_retention_days
        return FOR_EVER if days is None else days * DAY_MS
    if topic is Topic.DEAD_LETTERS:
        return kafka.dead_letters_retention_days * DAY_MS
    return kafka.recommendations_retention_days * DAY_MS


def _create(client: KafkaAdminClient, *, missing: Sequence[TopicSpec]) -> tuple[str, ...]:
    created = []
    for spec in missing:
        request = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": spec.replication_factor,
                "configs": spec.configs(),
            }
        }
        try:
            client.create_topics(request)
        except TopicAlreadyExistsError:
            continue  # another process was quicker; `_compare` checks what it made
        except KafkaError as error:
            raise BrokerUnreachable(f"the broker refused to create {spec.name}: {said(error)}") from error
        created.append(spec.name)
    return tuple(created)


def _compare(
    client: KafkaAdminClient, *, wanted: Sequence[TopicSpec], created: tuple[str, ...]
) -> TopicReport:
    counts = _partition_counts(client, names=[spec.name for spec in wanted])
    configs = _configs(client, names=list(counts))
    unseen = _not_permitted(client, names=[spec.name for spec in wanted])
    differences: dict[str, str] = {}
    refused = []
    for spec in wanted:
        if spec.name in unseen:
            differences[spec.name] = NOT_PERMITTED
            refused.append(spec.name)
            continue
        problem, fatal = _difference(spec, count=counts.get(spec.name), configs=configs.get(spec.name, {}))
        if problem:
            differences[spec.name] = problem
        if fatal:
            refused.append(spec.name)
    present = tuple(name for name in counts if name not in created)
    return TopicReport(created=created, present=present, differences=differences, refused=tuple(refused))


def _difference(spec: TopicSpec, *, count: int | None, configs: Mapping[str, str]) -> tuple[str, bool]:
    """What is different about a topic and what to do, and whether the system cannot run with it."""
    if count is None:
        return "missing; run `headwater topics ensure`", True
    if count != spec.partitions:
        return f"has {count} partitions, {_partition_advice(spec, count=count)}", True
    policy = configs.get("cleanup.policy", spec.cleanup_policy)
    if policy != spec.cleanup_policy:
        return (
            f"has cleanup.policy {policy}, it needs {spec.cleanup_policy}; alter the topic's configuration "
            f"(kafka-configs --alter --add-config cleanup.policy={spec.cleanup_policy})"
        ), True
    if spec.retention_ms is not None:
        retention = configs.get("retention.ms", str(spec.retention_ms))
        if retention != str(spec.retention_ms):
            return (
                f"has retention.ms {retention}, the settings ask for {spec.retention_ms}; alter the topic's "
                "configuration or the KAFKA_…_RETENTION_DAYS setting"
            ), False
    return "", False


def _partition_advice(spec: TopicSpec, *, count: int) -> str:
    if spec.partitions == 1:
        return "it needs exactly 1; delete it and run `headwater topics ensure`"
    return (
        f"the settings ask for {spec.partitions}; set KAFKA_PARTITIONS={count} if every user topic has "
        "that many, or delete it and run `headwater topics ensure` (adding partitions "
        "would move users to other workers)"
    )


def _partition_counts(client: KafkaAdminClient, *, names: Sequence[str]) -> dict[str, int]:
    """Partition count of each of `names` that exists."""
    return {
        topic["name"]: len(topic["partitions"])
        for topic in client.describe_topics(list(names))
        if topic["error_code"] == 0
    }


def _not_permitted(client: KafkaAdminClient, *, names: Sequence[str]) -> set[str]:
    """Those of `names` that this user may not even describe; whether they exist is not told."""
    described = client.describe_topics(list(names))
    return {
        topic["name"] for topic in described if topic["error_code"] == TopicAuthorizationFailedError.errno
    }


def _configs(client: KafkaAdminClient, *, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The broker's value of every configuration key of each topic; the embedded broker gives only some."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described = client.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: {key: entry["value"] for key, entry in entries.items() if entry["value"] is not None}
        for name, entries in described.items()
    }
