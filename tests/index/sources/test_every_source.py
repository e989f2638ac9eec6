"""What the Source protocol promises, tried on every source there is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import SnapshotError
from index.sources.assembly import BUILDERS, NAMES, Shared
from index.sources.base import LearnBatch, Limits, Query, Source
from index.sources.catalogue import Catalogue
from index.sources.footprint import footprint
from index.sources.new_arrivals import NewArrivals
from index.sources.popularity import Popularity
from index.sources.text_neighbours import TextNeighbours
from index.sources.traces import Traces
from tests.index.sources.own_queries import random_query
from tests.index.sources.random_logs import Row, cut, place

LIMITS = Limits(
    items=50,
    users=12,
    sessions=30,
    session_length=8,
    user_items=16,
    item_sessions=8,
    item_users=6,
    neighbours=8,
)
NOW_MS = 1_700_000_000_000
every_source = pytest.mark.parametrize("name", NAMES)


class World:
    """One source over state of its own, fed as the source set would."""

    def __init__(self, name: str, n: int = 9) -> None:
        self.traces, self.popularity = Traces(LIMITS), Popularity(LIMITS, n=n)
        self.catalogue = Catalogue(LIMITS, dim=6)
        self.source: Source = BUILDERS[name](
            Shared(LIMITS, self.traces, self.catalogue, self.popularity, self.search), n
        )
        for row in range(1, LIMITS.items):
            self.catalogue.upsert(row, item_id=f"item {row}", first_ms=NOW_MS - row * 3_600_000)
        rows = np.arange(1, LIMITS.items, dtype=np.int32)
        self.catalogue.set_vectors(
            rows, np.random.default_rng(0).normal(size=(len(rows), 6)).astype(np.float32)
        )
        if isinstance(self.source, (NewArrivals, TextNeighbours)):
            self.source.arrived(rows)
        if isinstance(self.source, TextNeighbours):
            self.source.refresh(limit=64)

    def search(self, vectors: NDArray[np.float32], n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        products = vectors @ self.catalogue.vectors.astype(np.float32).T
        products[:, 0] = -2.0
        ids = np.argsort(-products, axis=1, kind="stable")[:, :n].astype(np.int32)
        return ids, np.take_along_axis(products, ids, axis=1)

    def learn(self, rows: list[Row], size: int = 1000) -> "World":
        for piece in cut(rows, size):
            for batch in place(self.traces, piece):
                if self.source is not self.popularity:
                    self.popularity.learn(batch)
                self.source.learn(batch)
        return self

    def state(self) -> dict[str, NDArray[np.generic]]:
        return self.traces.snapshot() | self.popularity.snapshot() | self.source.snapshot()


def random_rows(seed: int, size: int) -> list[Row]:
    """Users walk along neighbouring items, so that every source has something to find."""
    rng = np.random.default_rng(seed)
    at = rng.integers(1, LIMITS.items, LIMITS.users)
    rows = []
    now_ms = NOW_MS - size * 60_000
    for _ in range(size):
        user = int(rng.integers(1, LIMITS.users))
        at[user] = (at[user] + rng.integers(0, 3)) % (LIMITS.items - 1) + 1
        now_ms += int(rng.integers(-2_000, 120_000))
        rows.append(Row(user, int(at[user]), int(rng.choice([2, 2, 2, 3, 5])), now_ms, 0))
    return rows


def a_query(users: int = 6) -> Query:
    return random_query(7, users=users, items=LIMITS.items)


def assert_same(left: dict[str, NDArray[np.generic]], right: dict[str, NDArray[np.generic]]) -> None:
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)


@every_source
def test_proposals_are_distinct_ordered_positive_finite_and_padded_at_the_end(name: str) -> None:
    ids, scores = World(name).learn(random_rows(1, 400)).source.propose(a_query())
    assert ids.shape == scores.shape == (6, 9)
    assert (ids.dtype, scores.dtype) == (np.dtype(np.int32), np.dtype(np.float32))
    assert ids.any(), "no proposals at all: nothing is tested"
    assert np.isfinite(scores).all()
    assert ((ids >= 0) & (ids < LIMITS.items)).all()
    for row, score in zip(ids, scores, strict=True):
        filled = int((row > 0).sum())
        assert (row[:filled] > 0).all()
        assert (score[:filled] > 0).all()
        assert not score[filled:].any()
        assert len(set(row[:filled].tolist())) == filled
        order = list(zip((-score[:filled]).tolist(), row[:filled].tolist(), strict=True))
        assert order == sorted(order)


@every_source
def test_learning_in_batches_of_any_size_leaves_the_same_state(name: str) -> None:
    rows = random_rows(2, 300)
    whole = World(name).learn(rows)
    for size in (1, 13):
        parts = World(name).learn(rows, size)
        assert_same(whole.state(), parts.state())
        for left, right in zip(whole.source.propose(a_query()), parts.source.propose(a_query()), strict=True):
            np.testing.assert_array_equal(left, right)


@every_source
def test_a_query_is_answered_alike_alone_in_a_batch_and_again(name: str) -> None:
    source, query = World(name).learn(random_rows(3, 300)).source, a_query()
    together = source.propose(query)
    for b in range(len(query)):
        one = Query(**{field: getattr(query, field)[b : b + 1] for field in Query.__slots__})
        for whole, alone in zip(together, source.propose(one), strict=True):
            np.testing.assert_array_equal(whole[b], alone[0])


@every_source
def test_arguments_are_not_changed_and_proposing_changes_no_state(name: str) -> None:
    world, query = World(name).learn(random_rows(4, 200)), a_query()
    before = {field: getattr(query, field).copy() for field in Query.__slots__}
    state = world.state()
    world.source.propose(query)
    assert_same(before, {field: getattr(query, field) for field in Query.__slots__})
    assert_same(state, world.state())
    batch = next(iter(place(world.traces, random_rows(5, 1))))
    kept = {field: getattr(batch, field).copy() for field in LearnBatch.__slots__}
    world.source.learn(batch)
    assert_same(kept, {field: getattr(batch, field) for field in LearnBatch.__slots__})


@every_source
def test_twice_the_events_take_no_more_memory(name: str) -> None:
    world = World(name).learn(random_rows(6, 500))
    before = footprint(world.source, world.traces)
    sizes = {key: array.nbytes for key, array in world.state().items()}
    world.learn(random_rows(7, 1000))
    assert footprint(world.source, world.traces) == before > 0
    assert {key: array.nbytes for key, array in world.state().items()} == sizes


@every_source
def test_a_restored_source_proposes_and_learns_alike(name: str) -> None:
    world, again = World(name).learn(random_rows(8, 300)), World(name)
    again.traces.restore(world.traces.snapshot())
    again.popularity.restore(world.popularity.snapshot())
    if again.source is not again.popularity:
        again.source.restore(world.source.snapshot())
    for each in (world, again):
        each.learn(random_rows(9, 50))
    assert_same(world.state(), again.state())
    for left, right in zip(world.source.propose(a_query()), again.source.propose(a_query()), strict=True):
        np.testing.assert_array_equal(left, right)


@every_source
def test_a_snapshot_is_a_copy_and_a_foreign_one_is_refused(name: str) -> None:
    world = World(name).learn(random_rows(10, 100))
    snapshot = world.source.snapshot()
    kept = {key: array.copy() for key, array in snapshot.items()}
    world.learn(random_rows(11, 100))
    assert_same(snapshot, kept)
    with pytest.raises(SnapshotError):
        world.source.restore({"foreign": np.zeros(3)})


@every_source
def test_evicted_items_are_not_proposed_until_they_are_met_again(name: str) -> None:
    world = World(name).learn(random_rows(12, 400))
    gone = np.unique(world.source.propose(a_query())[0])[1:4].astype(np.int32)
    assert len(gone)
    world.traces.evict_items(gone)
    if world.source is not world.popularity:
        world.popularity.evict(gone)
    world.source.evict(gone)
    world.catalogue.evict(gone)
    query = a_query()
    for items in (query.session, query.history):  # an evicted hash has no row, so no query names it
        items[np.isin(items, gone)] = 0
    assert not np.isin(world.source.propose(query)[0], gone).any()


@every_source
def test_an_empty_source_and_an_unknown_shopper_get_padding_or_what_the_catalogue_has(name: str) -> None:
    world = World(name)
    nobody = Query(**{field: np.zeros_like(getattr(a_query(2), field)) for field in Query.__slots__})
    ids, scores = world.source.propose(nobody)
    assert not ids.any()
    assert not scores.any()
    none = Query(**{field: getattr(nobody, field)[:0] for field in Query.__slots__})
    assert world.source.propose(none)[0].shape == (0, 9)
