"""What the catalogue keeps of records, events and vectors."""

import numpy as np
import pytest

from events.ids import stable_hash
from index.errors import SnapshotError
from index.sources.base import Limits
from index.sources.catalogue import Catalogue, short_hash

LIMITS = Limits(items=10)


def filled() -> Catalogue:
    catalogue = Catalogue(LIMITS, dim=3)
    catalogue.upsert(
        1, item_id="té", first_ms=50, title="Théière", price=2.5, category="tea", brand="b", consumable=True
    )
    catalogue.upsert(2, item_id="mug", first_ms=60, available=False)
    catalogue.set_vectors(np.array([1], np.int32), np.array([[3.0, 0.0, 4.0]], np.float32))
    return catalogue


def test_a_record_fills_its_row_and_a_vector_is_scaled_to_unit_length() -> None:
    catalogue = filled()
    assert (catalogue.ids[1], catalogue.titles[1], catalogue.price[1]) == ("té", "Théière", 2.5)
    assert catalogue.hashes[1] == stable_hash("té")
    assert catalogue.category[1] == short_hash("tea")
    assert catalogue.consumable.tolist() == [False, True] + 8 * [False]
    assert catalogue.available.tolist() == [True, True, False] + 7 * [True]
    np.testing.assert_allclose(catalogue.vectors[1].astype(float), [0.6, 0, 0.8], atol=1e-3)
    assert catalogue.has_text.sum() == 1
    vectors, hashes = catalogue.item_table()
    assert vectors is catalogue.vectors
    assert hashes is catalogue.hashes


def test_first_ms_is_the_earlier_of_record_and_event() -> None:
    catalogue = filled()
    new = catalogue.seen(
        np.array([3, 1, 3, 0], np.int32), hashes=np.array([33, 11, 33, 0]), times_ms=np.array([70, 10, 65, 5])
    )
    assert new.tolist() == [3]
    assert catalogue.first_ms[:4].tolist() == [0, 50, 60, 70]
    assert catalogue.hashes[3] == 33
    catalogue.upsert(3, item_id="x", first_ms=40)
    catalogue.upsert(1, item_id="té", first_ms=90)
    assert catalogue.first_ms[[1, 3]].tolist() == [50, 40]


def test_a_removed_item_comes_back_with_its_next_record() -> None:
    catalogue = filled()
    catalogue.remove(1)
    assert catalogue.removed[1]
    catalogue.upsert(1, item_id="té", first_ms=99)
    assert not catalogue.removed[1]


def test_zeros_take_the_text_away() -> None:
    catalogue = filled()
    catalogue.set_vectors(np.array([1], np.int32), np.zeros((1, 3), np.float32))
    assert not catalogue.has_text.any()
    assert not catalogue.vectors.any()


def test_an_evicted_row_is_as_if_new() -> None:
    catalogue, empty = filled(), Catalogue(LIMITS, dim=3)
    catalogue.evict(np.array([1, 2], np.int32))
    for name, array in catalogue.snapshot().items():
        np.testing.assert_array_equal(array, empty.snapshot()[name], err_msg=name)


def test_snapshot_round_trip() -> None:
    catalogue, again = filled(), Catalogue(LIMITS, dim=3)
    again.restore(catalogue.snapshot())
    assert (again.ids, again.titles) == (catalogue.ids, catalogue.titles)
    for name, array in catalogue.snapshot().items():
        np.testing.assert_array_equal(array, again.snapshot()[name], err_msg=name)


def test_a_snapshot_of_another_shape_or_with_broken_strings_is_refused_and_changes_nothing() -> None:
    catalogue = filled()
    good = catalogue.snapshot()
    bad = [
        Catalogue(LIMITS, dim=4).snapshot(),
        {**good, "ids": good["ids"][:-1]},
        {**good, "ids": np.full_like(good["ids"], 255)},
        {name: array for name, array in good.items() if name != "titles"},
    ]
    for arrays in bad:
        with pytest.raises(SnapshotError):
            catalogue.restore(arrays)
    assert catalogue.titles[1] == "Théière"


def test_wrong_rows_prices_and_vectors_are_refused() -> None:
    catalogue = filled()
    with pytest.raises(ValueError, match="row 0"):
        catalogue.upsert(0, item_id="x", first_ms=1)
    with pytest.raises(ValueError, match="row 10"):
        catalogue.remove(10)
    for price in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="price"):
            catalogue.upsert(1, item_id="x", first_ms=1, price=price)
    rows = np.array([1], np.int32)
    with pytest.raises(ValueError, match="shape"):
        catalogue.set_vectors(rows, np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="NaN"):
        catalogue.set_vectors(rows, np.full((1, 3), np.nan, np.float32))
