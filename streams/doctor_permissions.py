"""The doctor's look at what this Kafka user may do, role by role."""

from typing import Any

from kafka.errors import KafkaError

from events.topics import Topic
from streams.checks import Check, Status
from streams.kafka_settings import KafkaSettings
from streams.roles import ACCESS, Role, group_of, missing_of
from streams.topics import topic_name

_WHAT = "give the user the ACLs of docs/security.md (Kafka) for the roles that it runs"
_OPERATIONS = "topic_authorized_operations"


def permissions(client: Any, *, kafka: KafkaSettings) -> list[Check]:
    """One check where users have passwords or certificates and the broker tells what they may do; none elsewhere.

    Each role may have a user of its own, so one that is permitted everything is enough.
    """
    if not kafka.uses_sasl and kafka.ssl_certfile is None:
        return []
    names = {topic_name(topic, kafka=kafka): topic for topic in Topic}
    described = client.describe_topics(list(names))
    permitted = {
        names[one["name"]]: one.get(_OPERATIONS) or () for one in described if one["error_code"] == 0
    }
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


def _on_group(client: Any, *, group: str) -> list[str] | None:
    try:
        described = client.describe_groups([group], include_authorized_operations=True)
    except KafkaError:
        return []
    found = described.get(group, {}) if isinstance(described, dict) else described[0]
    operations: list[str] | None = found.get("authorized_operations")
    return operations
