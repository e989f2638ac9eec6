"""Every Redis key there is, with its time to live.

    <prefix>:{<partition>}:u:<user id>    string  packed state                          expires state_ttl_s
    <prefix>:{<partition>}:s:<user id>    string  last slate, the recommendation's bytes expires slate_ttl_s
    <prefix>:{<partition>}:applied        hash    topic -> highest offset applied        never expires
    <prefix>:{<partition>}:pending        zset    user id by last event time (ms)        expires state_ttl_s
    <prefix>:naming                       string  what a user id is: raw, or whose keyed hash  never expires

The Kafka partition is the hash tag: all keys of a partition lie in one slot of a Redis Cluster, so that one
script changes them atomically. A user's partition follows from the user id and the number of partitions;
another number of partitions means a new prefix and a replay.
"""

import re
from dataclasses import dataclass

from events.ids import partition_of

_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_DAY_S = 86_400

BATCH_FIELD = "@batch"
"""The field of `applied` that holds the last batch's id; `@` cannot occur in a topic name."""


@dataclass(frozen=True, slots=True)
class KeySpace:
    """Where one deployment keeps its users, and for how long after their last write.

    >>> KeySpace(partitions=8).state(7, "17850")
    'hw:{7}:u:17850'
    """

    prefix: str = "hw"
    partitions: int = 8
    state_ttl_s: int = 365 * _DAY_S
    slate_ttl_s: int = 7 * _DAY_S

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"prefix is {self.prefix!r}; expected 1 to 64 of A-Z a-z 0-9 . _ : -")
        for name in ("partitions", "state_ttl_s", "slate_ttl_s"):
            if getattr(self, name) < 1:
                raise ValueError(f"KeySpace.{name} is {getattr(self, name)}; it must be at least 1")

    def partition(self, user_id: str) -> int:
        """The Kafka partition whose worker owns the user."""
        return partition_of(user_id.encode(), partitions=self.partitions)

    def state(self, partition: int, user_id: str) -> str:
        return f"{self.prefix}:{{{partition}}}:u:{user_id}"

    def slate(self, partition: int, user_id: str) -> str:
        return f"{self.prefix}:{{{partition}}}:s:{user_id}"

    @property
    def naming(self) -> str:
        return f"{self.prefix}:naming"

    def applied(self, partition: int) -> str:
        return f"{self.prefix}:{{{partition}}}:applied"

    def pending(self, partition: int) -> str:
        return f"{self.prefix}:{{{partition}}}:pending"
