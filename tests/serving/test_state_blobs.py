"""Packed states come back as they were, and nothing else is taken for a state."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings

from events.codec import decode
from events.columns import Kind
from events.flatten import HashCache, to_columns
from events.ids import stable_hash
from events.topics import Topic
from serving.errors import StateFormatError
from serving.state import StateCodec
from serving.state_layout import (
    EVENTS,
    FORMAT,
    HEADER,
    HISTORY_COUNT,
    OFFSET,
    PARTITION,
    SEEN_COUNT,
    SESSION_COUNT,
    TOPIC,
    USER,
    StateLayout,
)
from tests.serving.fold_reference import Event
from tests.serving.streams import event_streams, fold_events

SMALL = StateLayout(session=4, history=6, seen=3)
USERS = np.array([11, 22])


def known(codec: StateCodec) -> list[bytes]:
    """Two users' blobs with something in every section."""
    states = codec.new(USERS)
    events = [Event(user, at, 1_000 + at, Kind.CLICK, [at]) for at in range(1, 5) for user in range(2)]
    fold_events(states, events, layout=codec.layout, config=codec.config)
    return codec.pack(states)


@settings(max_examples=60, deadline=None)
@given(events=event_streams())
def test_unpacking_gives_back_what_was_packed(events: list[Event]) -> None:
    codec = StateCodec(layout=SMALL)
    states = codec.new(USERS)
    fold_events(states, events, layout=SMALL, config=codec.config)
    blobs = codec.pack(states)
    np.testing.assert_array_equal(codec.unpack(blobs, users=USERS), states)
    for blob, state in zip(blobs, states, strict=True):
        count = sum(bool(id_) for id_ in state[HEADER : SMALL.session_at])
        filled = np.count_nonzero(state[SMALL.session_at : SMALL.history_at : 3])
        assert len(blob) == 8 * (HEADER + count + 3 * filled + 5 * state[HISTORY_COUNT])


def test_none_is_a_new_user() -> None:
    codec = StateCodec(layout=SMALL)
    blobs = known(codec)
    states = codec.unpack([None, blobs[1], None], users=np.array([5, 22, 7]))
    np.testing.assert_array_equal(states[[0, 2]], codec.new(np.array([5, 7])))
    np.testing.assert_array_equal(states[0, [TOPIC, PARTITION, OFFSET]], [-1, -1, -1])
    assert states[1, EVENTS] == 4


def test_a_batch_without_users_is_no_special_case() -> None:
    codec = StateCodec(layout=SMALL)
    states = codec.unpack([], users=np.zeros(0, np.int64))
    assert states.shape == (0, SMALL.words)
    assert codec.pack(states) == []


def with_word(blob: bytes, at: int, value: int) -> bytes:
    return blob[: 8 * at] + value.to_bytes(8, "little", signed=True) + blob[8 * at + 8 :]


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "not whole words": lambda blob: blob[:-1],
    "a word short": lambda blob: blob[:-8],
    "a word more": lambda blob: blob + bytes(8),
    "another format": lambda blob: with_word(blob, FORMAT, 1),
    "another user": lambda blob: with_word(blob, USER, 33),
    "fewer than none": lambda blob: with_word(blob, HISTORY_COUNT, -1),
    "more than fit": lambda blob: with_word(blob, SESSION_COUNT, 5),
    "ids that are not there": lambda blob: with_word(blob, SEEN_COUNT, 2),
    "items that are not there": lambda blob: with_word(blob, HISTORY_COUNT, 1 << 62),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_blob_is_named_and_the_others_can_be_read(how: str) -> None:
    codec = StateCodec(layout=SMALL)
    first, second = known(codec)
    with pytest.raises(StateFormatError, match="new key prefix") as caught:
        codec.unpack([first, SPOILT[how](second)], users=USERS)
    assert caught.value.rows == (1,)
    good = codec.unpack([first, second], users=USERS)
    np.testing.assert_array_equal(codec.unpack([first, None], users=USERS)[0], good[0])


def test_a_state_of_another_layout_is_refused() -> None:
    blobs = known(StateCodec(layout=SMALL))
    with pytest.raises(StateFormatError, match="StateLayout"):
        StateCodec().unpack(blobs, users=USERS)


def test_the_random_bytes_of_anyone_are_refused_or_bounded() -> None:
    codec = StateCodec(layout=SMALL)
    rng = np.random.default_rng(5)
    blob = bytearray(known(codec)[0])
    for _ in range(2_000):
        spoilt = bytearray(blob)
        spoilt[rng.integers(len(spoilt))] = rng.integers(256)
        try:
            states = codec.unpack([bytes(spoilt)], users=USERS[:1])
        except StateFormatError:
            continue
        codec.view(states, history=SMALL.history)
        codec.pack(states)


@pytest.mark.parametrize("wrong", [{"session": 1}, {"history": 5000}, {"seen": 0}])
def test_layout_refuses_what_it_cannot_hold(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StateLayout(**wrong)


def test_history_longer_than_the_layout_is_refused() -> None:
    codec = StateCodec(layout=SMALL)
    with pytest.raises(ValueError, match="from 1 to 6"):
        codec.view(codec.new(USERS), history=7)


def test_decoded_events_fold_into_their_users() -> None:
    raw = (
        b'{"events": ['
        b'{"event": "view_item", "event_id": "1", "occurred_at": 1323420060000, "user_id": "ann",'
        b' "items": [{"item_id": "cup"}]},'
        b'{"event": "purchase", "event_id": "2", "occurred_at": 1323420090000, "user_id": "bob",'
        b' "items": [{"item_id": "cup"}, {"item_id": "jar"}]},'
        b'{"event": "view_item", "event_id": "1", "occurred_at": 1323420060000, "user_id": "ann",'
        b' "items": [{"item_id": "cup"}]}]}'
    )
    topic = Topic.CLICKS
    events = [
        event
        for name in (topic, Topic.PURCHASES)
        for event in decode(raw, topic=name, now_ms=1_400_000_000_000).events
    ]
    columns = to_columns(events, hashes=HashCache())
    codec = StateCodec()
    states = codec.new(columns.user_hashes)
    applied = codec.fold(states, columns=columns, positions=np.full((len(columns), 3), 4))
    view = codec.view(states, history=4)
    assert applied.tolist() == [True, False, True]
    assert columns.users == ["ann", "bob"]
    assert view.users.tolist() == [stable_hash("ann"), stable_hash("bob")]
    assert view.history[:, :2].tolist() == [[stable_hash("cup"), 0], [stable_hash("jar"), stable_hash("cup")]]
    assert view.history_purchases[1, :2].tolist() == [1, 1]
    assert states[:, OFFSET].tolist() == [4, 4]
