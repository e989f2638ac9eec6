import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import SnapshotError
from index.sources.text_groups import TextGroups


def texts(kinds: NDArray[np.int64], *, seed: int, dim: int = 64) -> NDArray[np.float32]:
    """(R, D) unit vectors, close to one of a few directions far apart."""
    chance = np.random.default_rng(seed)
    vectors = np.eye(dim, dtype=np.float32)[kinds] + 0.05 * chance.standard_normal((len(kinds), dim))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_texts_of_one_kind_share_a_group_and_kinds_do_not() -> None:
    kinds = np.random.default_rng(1).integers(0, 6, 300)
    groups = TextGroups(dim=64).join(texts(kinds, seed=2))
    pairs = set(zip(kinds.tolist(), groups.tolist(), strict=True))
    assert len(pairs) == 6
    assert len({group for _, group in pairs}) == 6
    assert groups.min() == 1


def test_a_text_joins_the_closest_leader_when_there_is_no_room() -> None:
    found = TextGroups(dim=8, most=2)
    groups = found.join(
        np.array([[1, 0], [0, 1], [-0.6, -0.8], [0.8, 0.6]], np.float32) @ np.eye(2, 8, dtype=np.float32)
    )
    assert groups.tolist() == [1, 2, 1, 1]
    assert len(found) == 2


def test_an_item_without_text_has_no_group() -> None:
    assert TextGroups(dim=4).join(np.zeros((2, 4), np.float32)).tolist() == [0, 0]


def test_groups_do_not_depend_on_how_the_texts_are_cut_and_survive_a_snapshot() -> None:
    vectors = texts(np.random.default_rng(3).integers(0, 40, 200), seed=4)
    whole = TextGroups(dim=64, most=30)
    expected = whole.join(vectors)
    first = TextGroups(dim=64, most=30)
    begun = first.join(vectors[:90])
    second = TextGroups(dim=64, most=30)
    second.restore(first.snapshot())
    np.testing.assert_array_equal(np.concatenate([begun, second.join(vectors[90:])]), expected)
    with pytest.raises(SnapshotError):
        TextGroups(dim=64, most=31).restore(first.snapshot())


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="most is 0"):
        TextGroups(dim=4, most=0)
    with pytest.raises(ValueError, match="least 1"):
        TextGroups(dim=4, least=1.0)
