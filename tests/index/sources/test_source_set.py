"""The set as its users see it: learn, ask, explain, forget, save."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from events.ids import ItemId, stable_hash
from index.errors import SnapshotError
from index.items import ItemIndex
from index.sources.assembly import Choice, SourcesConfig
from index.sources.base import Limits, Query
from index.sources.source_set import SourceSet

LIMITS = Limits(
    items=64,
    users=32,
    sessions=64,
    session_length=8,
    user_items=16,
    item_sessions=8,
    item_users=8,
    neighbours=8,
)
NOW_MS = 1_700_000_000_000
CONFIG = SourcesConfig(candidates=20)


def new_set(limits: Limits = LIMITS, config: SourcesConfig = CONFIG) -> SourceSet:
    return SourceSet(limits, index=ItemIndex(4), config=config, dim=4)


def log_of(rows: list[tuple[str, str, Kind]], *, start_ms: int = NOW_MS) -> Interactions:
    """Rows a second apart, each an event of its own."""
    return Interactions(
        users=np.array([stable_hash(user) for user, _, _ in rows], np.int64),
        items=np.array([stable_hash(item) for _, item, _ in rows], np.int64),
        kinds=np.array([kind for _, _, kind in rows], np.int8),
        times_ms=start_ms + 1000 * np.arange(len(rows), dtype=np.int64),
        quantities=np.ones(len(rows), np.float32),
        sessions=np.zeros(len(rows), np.int64),
        events=np.arange(len(rows), dtype=np.int32),
    )


def random_log(seed: int, *, size: int, items: int = 40, users: int = 12) -> Interactions:
    rng = np.random.default_rng(seed)
    kinds = [Kind.CLICK, Kind.CART, Kind.PURCHASE, Kind.IMPRESSION, Kind.REFUND]
    return log_of([
        (f"u{rng.integers(users)}", f"i{int(rng.integers(items))}", kinds[rng.integers(len(kinds))])
        for _ in range(size)
    ])  # fmt: skip


def part(log: Interactions, start: int, stop: int) -> Interactions:
    return Interactions(**{name: getattr(log, name)[start:stop] for name in Interactions.__slots__})


def ask(
    sources: SourceSet, user: str, *, session: list[str], bought: list[str], now_ms: int = NOW_MS + 10**6
) -> Query:
    items = list(dict.fromkeys(session + bought))
    history = np.zeros((1, 10), np.int64)
    history[0, : len(items)] = [stable_hash(item) for item in items]
    in_session = np.zeros((1, 8), np.int64)
    in_session[0, : len(session)] = [stable_hash(item) for item in session]
    known = history != 0
    purchases = np.isin(history, [stable_hash(item) for item in bought]).astype(np.float32)
    times: NDArray[np.int64] = np.where(known, NOW_MS, 0)
    return sources.query(
        np.array([stable_hash(user)]),
        now_ms=np.array([now_ms]),
        session=in_session,
        session_times_ms=np.where(in_session != 0, NOW_MS, 0),
        session_kinds=np.where(in_session != 0, Kind.CLICK, 0).astype(np.int8),
        history=history,
        history_last_ms=times,
        history_first_ms=times,
        history_views=known.astype(np.float32),
        history_purchases=purchases,
        history_decayed=known.astype(np.float32),
    )


def found(sources: SourceSet, query: Query) -> list[str]:
    items = sources.candidates(query).items[0]
    return [sources.catalogue.ids[row] for row in items if row]


def names_of(*items: str) -> dict[int, str]:
    return {stable_hash(item): item for item in items}


def assert_equal_state(left: SourceSet, right: SourceSet) -> None:
    a, b = left.snapshot(), right.snapshot()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_what_others_took_next_is_found_and_explained() -> None:
    sources = new_set()
    rows = [(f"u{k}", item, Kind.CLICK) for k in range(6) for item in ("tea", "pot", "cup")]
    sources.learn(log_of(rows), names=names_of("tea", "pot", "cup"))
    query = ask(sources, "newcomer", session=["tea"], bought=[])
    candidates = sources.candidates(query)
    pot = found(sources, query).index("pot")
    reasons = sources.reason(int(candidates.sources[0, pot]))
    assert {"session_knn", "sequential_rules", "session_covisitation", "popularity"} <= set(reasons)
    assert "own_history" not in reasons
    assert candidates.features.shape == (1, 20, len(sources.feature_names))


def test_a_shopper_that_nobody_knows_gets_what_is_popular_and_new_from_the_first_record_on() -> None:
    sources = new_set()
    assert found(sources, ask(sources, "nobody", session=[], bought=[])) == []
    sources.upsert_item(ItemId("tea"), first_ms=NOW_MS, title="Tea")
    assert found(sources, ask(sources, "nobody", session=[], bought=[])) == ["tea"]
    sources.learn(log_of([("u", "cup", Kind.PURCHASE)]), names=names_of("cup"))
    assert set(found(sources, ask(sources, "nobody", session=[], bought=[]))) == {"tea", "cup"}


def test_an_item_without_counts_is_found_through_its_text() -> None:
    sources = new_set(config=SourcesConfig(sources=(Choice("text_neighbours"),), candidates=5))
    for item in ("tea", "new tea", "saw"):
        sources.upsert_item(ItemId(item), first_ms=NOW_MS)
    vectors = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 1, 0]], np.float32)
    sources.set_vectors(np.array([stable_hash(i) for i in ("tea", "new tea", "saw")]), vectors)
    query = ask(sources, "u", session=["tea"], bought=[])
    assert found(sources, query) == []
    assert sources.refresh() == 3
    assert found(sources, query) == ["new tea"]


def test_removed_out_of_stock_and_bought_items_are_not_candidates() -> None:
    once = new_set(config=SourcesConfig(candidates=20, repeat=False))
    for item in ("tea", "pot", "cup", "jar", "milk"):
        once.upsert_item(ItemId(item), first_ms=NOW_MS, consumable=item == "milk")
    once.learn(
        log_of([(f"u{k}", i, Kind.CLICK) for k in range(3) for i in ("tea", "pot", "cup", "jar", "milk")])
    )
    query = ask(once, "u0", session=["tea"], bought=["cup", "milk"])
    assert set(found(once, query)) == {"tea", "pot", "jar", "milk"}
    once.upsert_item(ItemId("pot"), first_ms=NOW_MS, available=False)
    once.remove_item(ItemId("jar"))
    once.remove_item(ItemId("unheard of"))
    assert set(found(once, query)) == {"tea", "milk"}
    assert "cup" in found(once, ask(once, "u1", session=["tea"], bought=[]))


def test_impressions_refunds_and_uncarts_teach_nothing() -> None:
    sources, untouched = new_set(), new_set()
    sources.learn(log_of([("u", "tea", kind) for kind in (Kind.IMPRESSION, Kind.REFUND, Kind.UNCART)]))
    assert_equal_state(sources, untouched)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_learning_in_batches_of_any_size_leaves_the_same_state(size: int) -> None:
    log = random_log(1, size=250)
    whole, parts = new_set(), new_set()
    whole.learn(log)
    for start in range(0, 250, size):
        parts.learn(part(log, start, start + size))
    assert_equal_state(whole, parts)


def test_twice_the_events_of_the_same_shop_take_no_more_memory() -> None:
    sources = new_set()
    sources.learn(random_log(2, size=400))
    before, arrays = sources.nbytes, {name: a.nbytes for name, a in sources.snapshot().items()}
    sources.learn(random_log(3, size=800))
    for name, array in sources.snapshot().items():
        assert name.split(".")[1].startswith(("ids", "titles")) or array.nbytes == arrays[name]
    assert sources.nbytes == before


def test_more_items_and_users_than_rows_evict_the_least_recent_everywhere() -> None:
    sources = new_set()
    sources.learn(log_of([("u", "early", Kind.CLICK)] * 3), names=names_of("early"))
    sources.set_vectors(np.array([stable_hash("early")]), np.ones((1, 4), np.float32))
    sources.refresh()
    row = int(sources.items.lookup(np.array([stable_hash("early")]))[0])
    sources.learn(random_log(4, size=600, items=300, users=100))
    assert sources.items.lookup(np.array([stable_hash("early")]))[0] == 0
    assert sources.catalogue.ids[row] != "early"
    assert not sources.catalogue.has_text.any()
    for user in range(100):
        query = ask(sources, f"u{user}", session=[f"i{user}"], bought=["early"])
        candidates = sources.candidates(query)
        rows = candidates.items[candidates.items > 0]
        assert (sources.items.hashes[rows] != 0).all()
        assert np.isfinite(candidates.features).all()


def test_saved_and_loaded_sets_answer_and_learn_alike(tmp_path: Path) -> None:
    sources, again = new_set(), new_set()
    sources.learn(random_log(5, size=200))
    rows = np.array([stable_hash(f"i{k}") for k in range(20)])
    sources.set_vectors(rows, np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    sources.refresh(limit=9)
    sources.upsert_item(ItemId("i1"), first_ms=NOW_MS, title="Tea", price=3.0, category="c")
    sources.save(tmp_path / "sources")
    again.load(tmp_path / "sources")
    assert_equal_state(sources, again)
    for each in (sources, again):
        each.refresh(limit=64)
        each.learn(random_log(6, size=100))
    assert_equal_state(sources, again)
    for user in range(12):
        left, right = (
            s.candidates(ask(s, f"u{user}", session=["i1"], bought=["i2"])) for s in (sources, again)
        )
        np.testing.assert_array_equal(left.items, right.items)
        np.testing.assert_array_equal(left.features, right.features)


def test_a_snapshot_of_other_limits_or_sources_is_refused() -> None:
    small = new_set(Limits(items=32, users=32, sessions=64))
    with pytest.raises(SnapshotError):
        new_set().restore(small.snapshot())
    fewer = new_set(config=SourcesConfig(sources=(Choice("popularity"),)))
    with pytest.raises(SnapshotError, match="expected parts"):
        fewer.restore(new_set().snapshot())


def test_a_session_that_is_over_reads_as_empty() -> None:
    sources = new_set()
    sources.learn(random_log(1, size=50))
    gap_ms = LIMITS.session_gap_ms
    live = ask(sources, "u1", session=["i1", "i2"], bought=["i3"], now_ms=NOW_MS + gap_ms)
    over = ask(sources, "u1", session=["i1", "i2"], bought=["i3"], now_ms=NOW_MS + gap_ms + 1)
    assert (live.session[0, :2] > 0).all()
    assert not over.session.any()
    assert_array_equal(over.history, live.history)
