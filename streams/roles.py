"""What each worker reads and writes on Kafka: what its user must be permitted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from events.topics import USER_TOPICS, Topic

Role = Literal["recommender", "encoder", "learner"]


@dataclass(frozen=True, slots=True)
class Access:
    """Topics; and, for whoever joins one, a consumer group of the role's own."""

    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]


ACCESS: Mapping[Role, Access] = {
    "recommender": Access(
        reads=(*USER_TOPICS, Topic.ITEM_VECTORS, Topic.ADAPTERS),
        writes=(Topic.RECOMMENDATIONS, Topic.DEAD_LETTERS),
    ),
    "learner": Access(
        reads=(*USER_TOPICS, Topic.RECOMMENDATIONS, Topic.ITEM_VECTORS), writes=(Topic.ADAPTERS,)
    ),
    "encoder": Access(reads=(Topic.ITEMS,), writes=(Topic.ITEM_VECTORS, Topic.DEAD_LETTERS)),
}


def group_of(role: Role, *, topic_prefix: str) -> str:
    """The role's consumer group."""
    return f"{topic_prefix}headwater-{role}"


def missing_of(
    role: Role, *, permitted: Mapping[Topic, Collection[str]], on_group: Collection[str] | None
) -> list[str]:
    """What the role lacks, as "READ on clicks", of Kafka's operations `permitted` on topics and on its group.

    on_group: None where it is not known.
    """
    wanted = [("READ", topic) for topic in ACCESS[role].reads]
    wanted += [("WRITE", topic) for topic in ACCESS[role].writes]
    missing = [
        f"{operation} on {topic}" for operation, topic in wanted if operation not in permitted.get(topic, ())
    ]
    if on_group is not None and "READ" not in on_group:
        missing.append("READ on its group")
    return missing
