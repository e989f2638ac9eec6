"""A write that would break the store's guarantees cannot be made."""

import pytest

from serving.ports import PartitionWrite


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"expected": {"clicks": 5}, "applied": {"clicks": 5}}, "only moves forward"),
        ({"expected": {"clicks": 5}, "applied": {"clicks": 4}}, "from 5 to 4"),
        ({"applied": {"clicks": -1}}, "only moves forward"),
        ({"states": {"ann": b""}}, "without a watermark"),
        ({"partition": -1}, "partition -1"),
        ({"batch_id": ""}, "batch id"),
    ],
)
def test_a_write_that_breaks_the_rules_is_refused(wrong: dict[str, object], told: str) -> None:
    arguments = {"partition": 0, "batch_id": "1", "expected": {}} | wrong
    with pytest.raises(ValueError, match=told):
        PartitionWrite(**arguments)  # type: ignore[arg-type]
