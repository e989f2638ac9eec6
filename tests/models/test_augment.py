import numpy as np
import pytest

from models.augment import augmented
from models.deep import DeepInputs
from models.deep_config import Augmentation

T, K = 8, 2


def inputs(lengths: list[int]) -> DeepInputs:
    """Histories whose n-th item has the vector, kind and gap n + 1."""
    users = len(lengths)
    number = np.tile(np.arange(1, T + K + 1), (users, 1))
    valid = np.ones((users, T + K), np.bool_)
    valid[:, :T] = np.arange(T) < np.array(lengths)[:, None]
    return DeepInputs(
        vectors=number[:, :, None].astype(np.float16),
        buckets=np.stack([number, number], axis=2),
        kinds=number[:, :T].copy(),
        gaps=number[:, :T].copy(),
        features=np.ones((users, K, 3), np.float32),
        valid=valid,
    )


def histories(name: Augmentation, *, length: int, draws: int = 200) -> list[list[int]]:
    """What the operator leaves of a history 1, 2, …, where it was applied."""
    generator = np.random.default_rng(0)
    seen = []
    for _ in range(draws):
        changed = augmented(inputs([length]), operators=(name,), generator=generator)
        there = changed.valid[0, :T]
        items = changed.kinds[0][there].tolist()
        assert changed.vectors[0, :T, 0][there].tolist() == items
        assert changed.buckets[0, :T, 1][there].tolist() == items
        assert changed.gaps[0][there].tolist() == items
        assert changed.valid[0, T:].all()
        if items != list(range(1, length + 1)):
            seen.append(items)
    return seen


def test_crop_keeps_a_contiguous_part_at_the_front() -> None:
    cropped = histories("crop", length=5)
    assert {tuple(items) for items in cropped} == {(1, 2, 3), (2, 3, 4), (3, 4, 5)}


def test_mask_hides_items_and_never_all() -> None:
    masked = histories("mask", length=4)
    assert all(items == sorted(items) and 1 <= len(items) < 4 for items in masked)
    assert len({tuple(items) for items in masked}) > 4


def test_reorder_shuffles_a_contiguous_part() -> None:
    reordered = histories("reorder", length=8)
    assert reordered
    for items in reordered:
        assert sorted(items) == list(range(1, 9))
        moved = [at for at, item in enumerate(items) if item != at + 1]
        assert moved[-1] - moved[0] < max(2, round(0.3 * 8))


def test_histories_of_one_item_or_none_stay() -> None:
    generator = np.random.default_rng(1)
    before = inputs([0, 1])
    for _ in range(20):
        after = augmented(before, operators=("crop", "mask", "reorder"), generator=generator)
        assert np.array_equal(after.valid, before.valid)
        assert np.array_equal(after.kinds, before.kinds)


def test_without_operators_nothing_is_drawn() -> None:
    generator = np.random.default_rng(1)
    state = generator.bit_generator.state
    before = inputs([5])
    assert augmented(before, operators=(), generator=generator) is before
    assert generator.bit_generator.state == state


@pytest.mark.parametrize("name", ["crop", "mask", "reorder"])
def test_inputs_are_not_changed(name: Augmentation) -> None:
    before, kept = inputs([7] * 30), inputs([7] * 30)
    augmented(before, operators=(name,), generator=np.random.default_rng(2))
    for field in ("vectors", "buckets", "kinds", "gaps", "valid"):
        assert np.array_equal(getattr(before, field), getattr(kept, field))
