"""Text neighbours: kept lists equal exact search, and items without counts are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.items import ItemIndex
from index.sources.base import Limits
from index.sources.catalogue import Catalogue
from index.sources.query_items import Lookback
from index.sources.text_neighbours import TextNeighbours
from tests.index.sources.own_queries import SEEDS, random_query
from tests.index.sources.random_logs import assert_proposes, plain_weights

LIMITS = Limits(items=40)
LOOKBACK = Lookback(items=4, session_decay=1.5, history_decay=2.5, history_weight=0.4)


class ExactSearch:
    """All inner products with the catalogue's vectors."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def __call__(self, vectors: NDArray[np.float32], n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        products = vectors @ self.catalogue.vectors.astype(np.float32).T
        products[:, ~self.catalogue.has_text] = -np.inf
        ids = np.argsort(-products, axis=1, kind="stable")[:, :n].astype(np.int32)
        scores = np.take_along_axis(products, ids, axis=1)
        found = np.isfinite(scores)
        return np.where(found, ids, 0).astype(np.int32), np.where(found, scores, 0).astype(np.float32)


def shop(vectors: NDArray[np.float32], *, kept: int = 6, n: int = 5) -> tuple[Catalogue, TextNeighbours]:
    """Rows 1.. have these vectors."""
    catalogue = Catalogue(LIMITS, dim=vectors.shape[1])
    source = TextNeighbours(
        LIMITS, catalogue=catalogue, search=ExactSearch(catalogue), n=n, kept=kept, lookback=LOOKBACK
    )
    rows = np.arange(1, len(vectors) + 1, dtype=np.int32)
    catalogue.set_vectors(rows, vectors)
    source.arrived(rows)
    return catalogue, source


class Watched:
    """A lock that notes whether it was held while something was searched, and while lists changed."""

    def __init__(self, source: TextNeighbours) -> None:
        self.held, self.searched_held, self.written_free = False, False, False
        self._source, self._search = source, source._search
        self._before = source.neighbours.copy()
        source._search = self.search

    def search(self, vectors: NDArray[np.float32], n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self.searched_held |= self.held
        self.written_free |= not np.array_equal(self._before, self._source.neighbours)
        return self._search(vectors, n)

    def __enter__(self) -> None:
        self.written_free |= not np.array_equal(self._before, self._source.neighbours)
        self.held = True

    def __exit__(self, *_: object) -> None:
        self._before = self._source.neighbours.copy()
        self.held = False


def test_readers_are_kept_out_while_lists_are_written_and_not_while_neighbours_are_searched() -> None:
    catalogue, source = shop(np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32))
    lock = Watched(source)
    while source.waiting:
        source.refresh(limit=5, lock=lock)
    catalogue.has_text[7] = False  # its record came again, without a text
    source.arrived(np.array([7], np.int32))
    source.refresh(limit=5, lock=lock)
    assert not lock.searched_held
    assert not lock.written_free
    assert np.array_equal(lock._before, source.neighbours)
    assert source.neighbours.any()
    assert not source.neighbours[7].any()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, kept=st.sampled_from([2, 6, 39]), limit=st.sampled_from([1, 5, 64]))
def test_kept_lists_hold_the_nearest_and_proposals_add_them_up(seed: int, kept: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    catalogue, source = shop(rng.normal(size=(20, 4)).astype(np.float32), kept=kept)
    while source.waiting:
        assert source.refresh(limit=limit) <= limit
    products = catalogue.vectors.astype(np.float32) @ catalogue.vectors.astype(np.float32).T
    near: dict[int, dict[int, float]] = {}
    for row in range(1, 21):
        others = sorted(
            (o for o in range(1, 21) if o != row and products[row, o] >= 0.3), key=lambda o: -products[row, o]
        )
        near[row] = {o: float(products[row, o]) for o in others[:kept]}
        got = source.neighbours[row][source.neighbours[row] > 0].tolist()
        assert set(got) == set(near[row])
        assert (np.diff(source.similarity[row]) <= 0).all()
    query = random_query(seed, users=3, items=21)
    ids, scores = source.propose(query)
    for b in range(3):
        expected: dict[int, float] = {}
        for item, weight in plain_weights(query, b, LOOKBACK)[0].items():
            for other, product in near[item].items():
                expected[other] = expected.get(other, 0.0) + weight * product
        assert_proposes(ids[b], scores[b], expected=expected)


def test_an_old_item_finds_a_new_one_as_soon_as_the_new_one_is_searched() -> None:
    catalogue, source = shop(np.eye(3, dtype=np.float32)[[0, 1, 2]])
    source.refresh()
    assert not source.neighbours.any()
    new = np.array([9], np.int32)
    catalogue.set_vectors(new, np.array([[0.9, 0.1, 0.0]], np.float32))
    source.arrived(new)
    assert source.refresh(limit=1) == 1
    assert source.neighbours[1, 0] == 9
    assert source.neighbours[9, 0] == 1


def test_lost_and_evicted_vectors_leave_every_list() -> None:
    vectors = np.ones((4, 3), np.float32) + np.eye(4, 3, dtype=np.float32)
    catalogue, source = shop(vectors)
    source.refresh()
    catalogue.set_vectors(np.array([2], np.int32), np.zeros((1, 3), np.float32))
    source.arrived(np.array([2], np.int32))
    source.refresh()
    assert 2 not in source.neighbours
    source.evict(np.array([3], np.int32))
    assert 3 not in source.neighbours
    assert not source.neighbours[3].any()
    assert set(source.neighbours[1].tolist()) == {0, 4}


def test_the_round_mends_a_list_whose_neighbour_moved_away() -> None:
    catalogue, source = shop(np.array([[1, 0], [1, 0.1], [0, 1]], np.float32))
    source.refresh()
    assert source.neighbours[1, 0] == 2
    catalogue.set_vectors(np.array([2], np.int32), np.array([[0, 1]], np.float32))  # no one was told
    assert source.waiting == 0
    for _ in range(3):
        source.refresh(limit=1)
    assert not source.neighbours[1].any()
    assert source.neighbours[3, 0] == 2


def test_restored_lists_go_on_alike() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(20, 4)).astype(np.float32)
    _, source = shop(vectors)
    source.refresh(limit=7)
    _, again = shop(vectors)
    again.restore(source.snapshot())
    for part in (source, again):
        part.refresh(limit=9)
    np.testing.assert_array_equal(again.neighbours, source.neighbours)
    assert again.waiting == source.waiting == 4


def test_wrong_arguments_are_refused() -> None:
    catalogue = Catalogue(LIMITS, dim=2)
    with pytest.raises(ValueError, match="least 0"):
        TextNeighbours(LIMITS, catalogue=catalogue, search=ExactSearch(catalogue), least=0.0)


def with_index(vectors: NDArray[np.float32], *, order: NDArray[np.int32], rebuilt: bool) -> TextNeighbours:
    """Neighbours of rows 1.., found in an index that got them in this order."""
    limits = Limits(items=len(vectors) + 1)
    catalogue, index = Catalogue(limits, dim=vectors.shape[1]), ItemIndex(vectors.shape[1])
    source = TextNeighbours(limits, catalogue=catalogue, search=index.search, kept=6)
    catalogue.set_vectors(np.arange(1, len(vectors) + 1, dtype=np.int32), vectors)
    index.upsert(order[::2], catalogue.vectors[order[::2]].astype(np.float32))
    if rebuilt:
        index.rebuild()
    index.upsert(order[1::2], catalogue.vectors[order[1::2]].astype(np.float32))
    source.arrived(order)
    while source.waiting:
        source.refresh(limit=2)
    return source


@pytest.mark.parametrize("rebuilt", [False, True])
@pytest.mark.parametrize("alike", [1, 3, 40])
def test_lists_are_the_same_to_the_bit_in_whatever_order_the_index_got_the_vectors(
    alike: int, rebuilt: bool
) -> None:
    rng = np.random.default_rng(alike)
    texts = (0.7 + rng.normal(size=(120 // alike, 384))).astype(np.float32)  # all close to one another
    vectors = np.repeat(texts, alike, axis=0)  # as titles that several items have
    rows = np.arange(1, len(vectors) + 1, dtype=np.int32)
    one = with_index(vectors, order=rows, rebuilt=False).snapshot()
    other = with_index(vectors, order=rng.permutation(rows), rebuilt=rebuilt).snapshot()
    assert one["neighbours"].any()
    for name in ("neighbours", "similarity"):
        assert one[name].tobytes() == other[name].tobytes(), name
