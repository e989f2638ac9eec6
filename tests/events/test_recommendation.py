"""The recommendation record: round trip, refusal, and an id that a redelivery repeats."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import BadEvent, Reason
from events.examples import RECOMMENDATION
from events.ids import UserId
from events.recommendation import Recommendation, decode_recommendation, encode_recommendation, rec_id_of
from tests.events.strategies import recommendations

OFFSETS = {"clicks-0": 7, "carts-0": 2}


@settings(max_examples=150, deadline=None)
@given(recommendation=recommendations)
def test_decoding_gives_back_what_was_encoded(recommendation: Recommendation) -> None:
    assert decode_recommendation(encode_recommendation(recommendation)) == recommendation


@pytest.mark.parametrize(
    ("old", "new", "reason", "path"),
    [
        (b'"slot":0', b'"slot":-1', Reason.BAD_NUMBER, "$.items[0].slot"),
        (b'"propensity":0.75', b'"propensity":1.5', Reason.BAD_NUMBER, "$.items[0].propensity"),
        (b'"model_version":12', b'"model_version":"12"', Reason.WRONG_TYPE, "$.model_version"),
        (b'"fresh_ms":19.5', b'"stale_ms":19.5', Reason.MISSING_FIELD, "$.fresh_ms"),
        (b'"fresh_ms":19.5', b'"fresh_ms":1e999', Reason.BAD_NUMBER, "$"),
        (b'"user_id":"17850"', b'"user_id":""', Reason.BAD_ID, "$.user_id"),
        (b'"clicks-3":41', b'"clicks-3":null', Reason.WRONG_TYPE, "$.seen_offsets[...]"),
        (b"{", b"", Reason.NOT_JSON, "$"),
        (b"17850", b"\xff", Reason.NOT_UTF8, "$"),
        (b"{", b"[", Reason.NOT_JSON, "$"),
    ],
)
def test_what_is_no_recommendation_is_refused(old: bytes, new: bytes, reason: Reason, path: str) -> None:
    raw = encode_recommendation(RECOMMENDATION)
    assert old in raw
    with pytest.raises(BadEvent) as caught:
        decode_recommendation(raw.replace(old, new, 1))
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_the_id_is_the_same_on_every_machine_and_for_every_order_of_offsets() -> None:
    ids = {
        rec_id_of(UserId("ü"), seen_offsets=offsets, model_version=1, index_version=2)
        for offsets in (OFFSETS, dict(reversed(OFFSETS.items())))
    }
    assert ids == {"2009c476f8e4eacb02cfaea66599c0b4"}


@settings(max_examples=100, deadline=None)
@given(
    user=st.text("ab\n,:1", max_size=4),
    offset=st.integers(0, 99),
    versions=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_any_difference_makes_another_id(user: str, offset: int, versions: tuple[int, int]) -> None:
    def made(user: str, offset: int, model_version: int, index_version: int) -> str:
        return rec_id_of(
            UserId(user),
            seen_offsets={"clicks-0": offset},
            model_version=model_version,
            index_version=index_version,
        )

    model_version, index_version = versions
    ids = {
        made(user, offset, model_version, index_version),
        made(user + "\n", offset, model_version, index_version),
        made(user, offset + 1, model_version, index_version),
        made(user, offset, model_version + 1, index_version),
        made(user, offset, model_version, index_version + 1),
    }
    assert len(ids) == 5
