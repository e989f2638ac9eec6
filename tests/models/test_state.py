import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.state import (
    check_arrays,
    generator_from_array,
    generator_to_array,
    under_prefix,
    with_prefix,
)

WANTED = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.int64)}


@given(st.integers(0, 2**63), st.lists(st.sampled_from(["float", "int32", "permutation"]), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_restored_generator_goes_on_where_it_was(seed: int, calls: list[str]) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    for call in calls:
        if call == "float":
            generator.random(3)
        elif call == "int32":
            generator.integers(0, 9, dtype=np.int32)
        else:
            generator.permutation(5)
    copy = generator_from_array(generator_to_array(generator))
    np.testing.assert_array_equal(
        copy.integers(0, 2**31, 9, dtype=np.int32), generator.integers(0, 2**31, 9, dtype=np.int32)
    )


def test_prefixes_come_off_as_they_went_on() -> None:
    both = {**with_prefix("one", WANTED), **with_prefix("one_more", WANTED)}
    assert under_prefix("one", both).keys() == WANTED.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": np.zeros(1)}, "unexpected"),
        ({"a": np.zeros((3, 2), np.float32)}, "a is float32"),
        ({"a": np.zeros((2, 3), np.float64)}, "a is float64"),
        ({"a": np.full((2, 3), np.nan, np.float32)}, "not finite"),
    ],
)
def test_arrays_that_differ_are_named(change: dict[str, np.ndarray], message: str) -> None:
    check_arrays(WANTED, expected=WANTED)
    with pytest.raises(InputError, match=message):
        check_arrays({**WANTED, **change}, expected=WANTED)
    with pytest.raises(InputError, match="missing"):
        check_arrays({"a": WANTED["a"]}, expected=WANTED)
