"""Keys of a partition share its hash tag, and no two things share a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.cluster import key_slot

from serving.keys import KeySpace

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


@given(user=ids, partition=st.integers(0, 100))
def test_all_keys_of_a_partition_lie_in_one_slot(user: str, partition: int) -> None:
    keys = KeySpace()
    names = [
        keys.state(partition, user),
        keys.slate(partition, user),
        keys.applied(partition),
        keys.pending(partition),
    ]
    assert len({key_slot(name.encode()) for name in names}) == 1
    assert key_slot(str(partition).encode()) == key_slot(names[0].encode())
    assert len(set(names)) == 4


@given(one=st.tuples(st.integers(0, 30), ids), other=st.tuples(st.integers(0, 30), ids))
def test_other_users_have_other_keys(one: tuple[int, str], other: tuple[int, str]) -> None:
    keys = KeySpace()
    assert (keys.state(*one) == keys.state(*other)) == (one == other)


def test_a_user_lies_where_kafkas_partitioner_puts_the_key() -> None:
    assert KeySpace(partitions=1).partition("17850") == 0
    spread = {KeySpace(partitions=8).partition(f"user{number}") for number in range(200)}
    assert spread == set(range(8))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"prefix": "a{b}"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"partitions": 0}, "partitions"),
        ({"state_ttl_s": 0}, "state_ttl_s"),
        ({"slate_ttl_s": -1}, "slate_ttl_s"),
    ],
)
def test_key_spaces_that_cannot_work_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        KeySpace(**wrong)  # type: ignore[arg-type]
