"""Union and features against plain Python; what is never a candidate; nothing is ever NaN or infinite."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.assembly import Choice, SourcesConfig
from index.sources.base import Query
from index.sources.catalogue import Catalogue
from index.sources.features import CandidateBuilder, feature_names, log_count
from index.sources.item_habits import ItemHabits
from index.sources.popularity import Popularity
from tests.index.sources.own_queries import SEEDS, random_query
from tests.index.sources.plain_features import (
    CONFIG,
    HALF_LIVES_MS,
    LIMITS,
    Proposals,
    plain_features,
    plain_union,
)


def random_shop(seed: int) -> tuple[Catalogue, Popularity]:
    rng = np.random.default_rng(seed)
    catalogue = Catalogue(LIMITS, dim=8)
    catalogue.price[1:] = np.where(rng.random(39) < 0.7, rng.gamma(2.0, 5.0, 39), 0.0)
    catalogue.category[1:] = rng.integers(0, 4, 39)
    catalogue.brand[1:] = rng.integers(0, 3, 39)
    catalogue.first_ms[1:] = np.where(
        rng.random(39) < 0.8, 1_700_000_000_000 - rng.integers(-9, 10**10, 39), 0
    )
    catalogue.available[:] = rng.random(40) < 0.9
    catalogue.removed[:] = rng.random(40) < 0.1
    catalogue.consumable[:] = rng.random(40) < 0.3
    rows = np.flatnonzero(rng.random(40) < 0.7).astype(np.int32)
    rows = rows[rows > 0]
    catalogue.set_vectors(rows, rng.normal(size=(len(rows), 8)).astype(np.float32))
    popularity = Popularity(LIMITS, half_lives_ms=HALF_LIVES_MS)
    known = rng.random((3, 40)) < 0.8
    ages = np.array([[1_700_000_000_000 / h if h else 0.0] for h in HALF_LIVES_MS])
    popularity.keys[known] = (ages + rng.uniform(-15, 5, (3, 40)))[known]
    return catalogue, popularity


def random_habits(seed: int) -> ItemHabits:
    rng = np.random.default_rng(seed + 2)
    habits = ItemHabits(LIMITS, pairs=2)
    habits.sums[:, 0] = rng.integers(0, 50, 40)
    habits.sums[:, 1] = rng.integers(0, 1 + habits.sums[:, 0].astype(np.int64))
    habits.sums[:, 2] = habits.sums[:, 1] * rng.uniform(0, 8, 40)
    return habits


def random_proposals(seed: int, *, users: int) -> Proposals:
    rng = np.random.default_rng(seed + 1)
    proposals = []
    for n in (6, 5, 7, 3):
        ids = np.array([rng.permutation(np.arange(1, 40))[:n] for _ in range(users)], np.int32)
        scores = -np.sort(-rng.gamma(0.5, 3.0, ids.shape).astype(np.float32) - np.float32(1e-6), axis=1)
        ids[np.arange(n) >= rng.integers(0, n + 1, users)[:, None]] = 0
        proposals.append((ids, np.where(ids > 0, scores, 0).astype(np.float32)))
    return proposals


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    repeat=st.booleans(),
    reserved=st.integers(0, 3),
    candidates=st.sampled_from([3, 8, 30]),
    remembered=st.sampled_from([7, 7, 3, 0]),
)
def test_candidates_and_features_agree_with_plain_python(
    seed: int, repeat: bool, reserved: int, candidates: int, remembered: int
) -> None:
    config = replace(CONFIG, repeat=repeat, reserved=reserved, candidates=candidates)
    catalogue, popularity = random_shop(seed)
    habits = random_habits(seed)
    builder = CandidateBuilder(
        LIMITS, config=config, catalogue=catalogue, popularity=popularity, habits=habits
    )
    query = random_query(seed, users=3, items=40, remembered=remembered)
    proposals = random_proposals(seed, users=3)
    got = builder.build(proposals, query=query)
    for b in range(3):
        barred = set(np.flatnonzero(catalogue.removed | ~catalogue.available).tolist())
        bought = query.whole_history[b][query.history_purchases[b] > 0]
        if not repeat:
            barred |= set(bought[~catalogue.consumable[bought]].tolist())
        order, bits = plain_union(proposals, b, barred=barred, config=config)
        assert got.items[b].tolist() == order + [0] * (candidates - len(order))
        assert got.sources[b].tolist() == [bits[item] for item in order] + [0] * (candidates - len(order))
        assert not got.features[b, len(order) :].any()
        for c, item in enumerate(order):
            expected = plain_features(item, b, proposals, query, catalogue, popularity, habits)
            assert expected.keys() <= set(builder.names)
            want = [expected.get(name, 0.0) for name in builder.names]
            np.testing.assert_allclose(
                got.features[b, c], want, rtol=2e-4, atol=2e-4, err_msg=str(builder.names)
            )


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_features_stay_finite_whatever_the_numbers_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    catalogue, popularity = random_shop(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 3e38, -1.0, 0.0], np.float32)
    catalogue.price[:] = rng.choice([0.0, 1e-30, 3e38], 40)
    catalogue.first_ms[:] = rng.choice([0, 1, 2**62], 40)
    popularity.keys[:] = rng.choice([-np.inf, -1e9, 0.0, 1e9], popularity.keys.shape)
    query = random_query(seed, users=4, items=40)
    query = replace(
        query,
        history_views=rng.choice(odd, query.history.shape),
        history_purchases=rng.choice(odd, query.history.shape),
        history_decayed=rng.choice(odd, query.history.shape),
        history_last_ms=rng.choice([0, 2**62, -(2**61)], query.history.shape),
    )
    proposals = [
        (ids, np.where(ids > 0, np.float32(1e-38), 0).astype(np.float32))
        for ids, _ in random_proposals(seed, users=4)
    ]
    builder = CandidateBuilder(
        LIMITS, config=CONFIG, catalogue=catalogue, popularity=popularity, habits=random_habits(seed)
    )
    features = builder.build(proposals, query=query).features
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 100


def test_every_source_keeps_its_first_choices_when_the_union_is_cut() -> None:
    many = np.arange(1, 31, dtype=np.int32)[None]
    few = np.array([[35, 36]], np.int32)
    proposals = [(ids, np.full(ids.shape, 2.0, np.float32)) for ids in (many, many, many, few)]
    catalogue, popularity = Catalogue(LIMITS, dim=8), Popularity(LIMITS, half_lives_ms=HALF_LIVES_MS)
    builder = CandidateBuilder(
        LIMITS,
        config=replace(CONFIG, reserved=2),
        catalogue=catalogue,
        popularity=popularity,
        habits=ItemHabits(LIMITS, pairs=2),
    )
    items = builder.build(proposals, query=random_query(0, users=1, items=40)).items
    assert items[0].tolist() == [1, 2, 35, 36, 3, 4, 5, 6]


def test_one_user_gets_the_same_alone_and_in_a_batch() -> None:
    catalogue, popularity = random_shop(5)
    builder = CandidateBuilder(
        LIMITS,
        config=replace(CONFIG, repeat=False),
        catalogue=catalogue,
        popularity=popularity,
        habits=random_habits(5),
    )
    query, proposals = random_query(5, users=6, items=40), random_proposals(5, users=6)
    together = builder.build(proposals, query=query)
    for b in range(6):
        one = Query(**{name: getattr(query, name)[b : b + 1] for name in Query.__slots__})
        alone = builder.build([(ids[b : b + 1], scores[b : b + 1]) for ids, scores in proposals], query=one)
        np.testing.assert_array_equal(alone.items[0], together.items[b])
        np.testing.assert_array_equal(alone.features[0], together.features[b])


def test_log_counts_from_the_table_are_close_everywhere() -> None:
    for power in np.linspace(-19.9, 39.9, 997).tolist():
        assert log_count(power) == pytest.approx(math.log1p(2.0**power), abs=2e-5)
    assert [log_count(p) for p in (float("nan"), -math.inf, -21.0)] == [0.0, 0.0, 0.0]
    assert log_count(1e9) == log_count(40.0) == pytest.approx(40 * math.log(2))


def test_names_say_source_and_part_and_windows() -> None:
    names = feature_names(["a"], half_lives_ms=[3_600_000, 0])
    assert names[:6] == ("a.score", "a.share", "a.rank", "sources", "popularity.1h", "popularity.all")
    assert len(set(names)) == len(names)


def test_a_missing_source_and_wrong_settings_are_refused() -> None:
    catalogue, popularity = random_shop(1)
    builder = CandidateBuilder(
        LIMITS, config=CONFIG, catalogue=catalogue, popularity=popularity, habits=random_habits(1)
    )
    with pytest.raises(ValueError, match="3 sources proposed; expected 4"):
        builder.build(random_proposals(1, users=1)[:3], query=random_query(1, users=1, items=40))
    with pytest.raises(ValueError, match="'knn' is unknown"):
        Choice("knn")
    with pytest.raises(ValueError, match="weight"):
        Choice("two_hop", weight=0.0)
    with pytest.raises(ValueError, match="each once"):
        SourcesConfig(sources=(Choice("two_hop"), Choice("two_hop")))
    with pytest.raises(ValueError, match="candidates 0"):
        SourcesConfig(candidates=0)
