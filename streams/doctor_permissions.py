"""The doctor's look at what this Kafka user may do, role by role."""

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from events.topics import Topic
from streams.checks import Check, Status
from streams.kafka_settings import KafkaSettings
from streams.roles import ACCESS, Role, group_of, missing_of
from streams.topics import topic_name

_WHAT = "give the user the ACLs of docs/security.md (Kafka) for the roles that it runs"
_TIMEOUT_S = 10.0


def permissions(*, kafka: KafkaSettings) -> list[Check]:
    """One check where users have passwords or certificates and the broker tells what they may do; none elsewhere.

    Each role may have a user of its own, so one that is permitted everything is enough.
    """
    if not kafka.uses_sasl and kafka.ssl_certfile is None:
        return []
    client = AdminClient(dict(kafka.confluent()))
    permitted = _on_topics(client, names={topic_name(topic, kafka=kafka): topic for topic in Topic})
    lacking: dict[Role, list[str]] = {}
    for role in ACCESS:
        on_group = _on_group(client, group=group_of(role, topic_prefix=kafka.topic_prefix))
        lacking[role] = missing_of(role, permitted=permitted, on_group=on_group)
    able = [role for role, missing in lacking.items() if not missing]
    if len(able) == len(lacking):
        return [Check("permissions", Status.OK, f"{kafka.sasl_username or 'this user'} may run every role")]
    detail = "; ".join(
        f"not as {role}: no {', no '.join(missing)}" for role, missing in lacking.items() if missing
    )
    if able:
        return [Check("permissions", Status.WARN, f"may run as {', '.join(able)}; {detail}", _WHAT)]
    return [Check("permissions", Status.FAIL, detail, _WHAT)]


def _on_topics(client: AdminClient, *, names: Mapping[str, Topic]) -> dict[Topic, list[str]]:
    """The operations permitted on each topic that exists and that this user may see."""
    asked = client.describe_topics(
        TopicCollection(list(names)), include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    permitted = {}
    for name, answer in asked.items():
        try:
            permitted[names[name]] = [
                operation.name for operation in answer.result().authorized_operations or ()
            ]
        except KafkaException:
            continue  # it is not there, or the user may not even see it
    return permitted


def _on_group(client: AdminClient, *, group: str) -> list[str] | None:
    """The operations permitted on the consumer group; None where that is not known, as before its first member."""
    asked = client.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    try:
        operations = asked[group].result().authorized_operations
    except KafkaException as error:
        refused = error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        return [] if refused else None
    return None if operations is None else [operation.name for operation in operations]
