"""Raw logs for the ledgers, and the states and slates that a faultless system would leave of them."""

from collections.abc import Iterable, Sequence

import numpy as np

from events.codec import encode
from events.flatten import HashCache, to_columns
from events.ids import partition_of
from events.recommendation import Policy, Recommendation, encode_recommendation, rec_id_of
from events.topics import USER_TOPICS
from events.types import AnyUserEvent
from load.chaos.findings import Place
from load.chaos.raw_log import RawRecord
from load.chaos.source_log import SourceLog, read_source
from load.chaos.stored_state import Stored
from load.sender import topic_of
from serving.state import StateCodec

PARTITIONS = 2
_NUMBERS = {topic.value: number for number, topic in enumerate(USER_TOPICS)}


def raw_log(events: Iterable[AnyUserEvent]) -> list[RawRecord]:
    """The events as a broker would have them."""
    ends: dict[tuple[str, int], int] = {}
    records = []
    for event in events:
        key = event.user_id.encode()
        home = (topic_of(event).value, partition_of(key, partitions=PARTITIONS))
        ends[home] = ends.get(home, -1) + 1
        records.append(RawRecord(*home, ends[home], 1_700_000_000_000, key, encode(event)))
    return records


def source(events: Iterable[AnyUserEvent]) -> SourceLog:
    return read_source(raw_log(events))


def stored(records: Sequence[RawRecord], events: Sequence[AnyUserEvent]) -> Stored:
    """What is in Redis once exactly these events have been folded, and the log has been taken to its end."""
    places: dict[bytes | None, RawRecord] = {}
    for record in records:
        places.setdefault(record.value, record)
    codec = StateCodec()
    columns = to_columns(events, hashes=HashCache())
    states = codec.new(columns.user_hashes)
    homes = [places[encode(event)] for event in events]
    positions = [(_NUMBERS[home.topic], home.partition, home.offset) for home in homes]
    codec.fold(states, columns=columns, positions=np.array(positions, np.int64).reshape(-1, 3))
    users = [(partition_of(user.encode(), partitions=PARTITIONS), str(user)) for user in columns.users]
    blobs = codec.pack(states)
    applied: dict[int, dict[str, int]] = {}
    for record in records:
        applied.setdefault(record.partition, {})[record.topic] = record.offset
    return Stored(dict(zip(users, blobs, strict=True)), applied, {})


def slate(event: AnyUserEvent, place: Place, *, model: int = 3, arm: str = "plain", **seen: int) -> bytes:
    """The slate that answers the event at its place; `seen`: offsets of other topics."""
    offsets = {place.topic: place.offset, **seen}
    return encode_recommendation(
        Recommendation(
            rec_id=rec_id_of(
                event.user_id,
                seen_offsets={f"{_NUMBERS[place.topic]}-{place.partition}": place.offset},
                model_version=model,
                index_version=1,
            ),
            user_id=event.user_id,
            made_at=1_700_000_000_000,
            items=(),
            policy=Policy(arm=arm, arm_propensity=0.5),
            model_version=model,
            index_version=1,
            seen_offsets={f"chaos-{topic}-{place.partition}": offset for topic, offset in offsets.items()},
            fresh_ms=1.0,
        )
    )


def recommendations(values: Sequence[tuple[int, bytes]]) -> list[RawRecord]:
    """Records of the recommendations topic from partitions and values."""
    return [RawRecord("recommendations", at, n, 0, b"", raw) for n, (at, raw) in enumerate(values)]
