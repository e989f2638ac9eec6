import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.pseudonyms import MIN_KEY_BYTES, Pseudonyms, WeakKey
from tests.storefront import view

KEY = b"0123456789abcdef"


@given(st.text(min_size=1, max_size=40), st.binary(min_size=16, max_size=100))
def test_a_pseudonym_is_what_any_storefront_would_compute(user: str, key: bytes) -> None:
    expected = hmac.new(key, user.encode(), hashlib.sha256).hexdigest()[:32]
    assert Pseudonyms(key).user(user) == expected


def test_the_key_decides() -> None:
    assert Pseudonyms(KEY).user("ann") == Pseudonyms(KEY).user("ann")
    assert Pseudonyms(KEY).user("ann") != Pseudonyms(KEY + b"!").user("ann")
    assert Pseudonyms(KEY).mark == Pseudonyms(KEY).mark != Pseudonyms(KEY + b"!").mark


def test_a_short_key_is_refused_without_being_shown() -> None:
    with pytest.raises(WeakKey, match="6 bytes") as caught:
        Pseudonyms(b"secret")
    assert "secret" not in str(caught.value)
    assert MIN_KEY_BYTES == 16


def test_the_key_is_not_in_the_representation() -> None:
    assert KEY.decode() not in repr(Pseudonyms(KEY)) + str(Pseudonyms(KEY))


def test_users_and_sessions_of_one_name_do_not_meet() -> None:
    event = view("same", "kettle", number=1, session_id="same")
    Pseudonyms(KEY).rename([event])
    assert event.user_id == Pseudonyms(KEY).user("same")
    assert event.session_id not in (None, "same", event.user_id)


def test_everything_else_of_an_event_stays() -> None:
    event, before = view("ann", "kettle", number=1), view("ann", "kettle", number=1)
    Pseudonyms(KEY).rename([event])
    assert event.items == before.items
    assert (event.event_id, event.occurred_at) == (before.event_id, before.occurred_at)
    assert event.session_id is None


def test_remembered_ids_are_bounded_and_forgetting_changes_nothing() -> None:
    names = Pseudonyms(KEY, limit=10)
    first = [names.user(f"user-{number}") for number in range(1_000)]
    assert len(names) <= 10
    events = [
        view(f"user-{number}", "kettle", number=number, session_id=f"s-{number}") for number in range(1_000)
    ]
    names.rename(events)
    assert len(names) <= 10
    assert [event.user_id for event in events] == first
