"""What nests too deep is refused by its bytes, whoever asks and however deep in calls."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode, decode_item, encode
from events.errors import BadEvent, Reason
from events.limits import MAX_DEPTH
from events.nesting import depth, too_deep
from events.topics import Topic
from tests.storefront import START_MS, view

JSON = st.recursive(
    st.text(alphabet='[]{}"\\a', max_size=6) | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


def levels(value: object) -> int:
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


@given(value=JSON)
def test_depth_is_that_of_the_parsed_value(value: object) -> None:
    assert depth(json.dumps(value).encode()) == levels(value)


def nested(deep: int) -> bytes:
    """A good click with a field that nobody knows, so that arrays lie `deep` deep."""
    click = encode(view("ann", "kettle", number=1))
    return click[:-1] + b', "x": ' + b"[" * (deep - 1) + b"]" * (deep - 1) + b"}"


def called(deep: int, work: Callable[[], object]) -> object:
    """The work's result, `deep` calls further down."""
    return work() if deep == 0 else called(deep - 1, work)


def reasons(raw: bytes) -> list[Reason]:
    return [r.error.reason for r in decode(raw, topic=Topic.CLICKS, now_ms=START_MS + 10**9).rejects]


@pytest.mark.parametrize("calls", [0, 150, 300])
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (nested(MAX_DEPTH), []),
        (nested(MAX_DEPTH + 1), [Reason.TOO_DEEP]),
        (nested(MAX_DEPTH)[:-1], [Reason.NOT_JSON]),
        (b"[" * 990, [Reason.TOO_DEEP]),
        (b"[" * MAX_DEPTH, [Reason.NOT_JSON]),
        (b'{"events": [' + b",".join([nested(9)] * 600) + b"]}", []),
    ],
)
def test_the_verdict_does_not_hang_on_who_calls(raw: bytes, expected: list[Reason], calls: int) -> None:
    assert called(calls, lambda: reasons(raw)) == expected


def test_an_item_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(BadEvent) as refused:
        decode_item(b'{"item_id": "a", "x": ' + b"[" * 600 + b"]" * 600 + b"}", now_ms=START_MS)
    assert refused.value.reason is Reason.TOO_DEEP


def test_many_brackets_beside_each_other_are_not_deep() -> None:
    assert not too_deep(b"[" + b"{}," * 10_000 + b"{}]")
