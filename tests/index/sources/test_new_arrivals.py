"""The newest items, none from after the query, those that can be sold and described first."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.base import Limits
from index.sources.catalogue import Catalogue
from index.sources.new_arrivals import DAY_MS, NewArrivals
from tests.index.sources.own_queries import random_query

LIMITS = Limits(items=200)
NOW_MS = int(random_query(0, users=1, items=9).now_ms[0])


def shop(first_ms: dict[int, int], *, batch: int = 1000) -> tuple[Catalogue, NewArrivals]:
    catalogue = Catalogue(LIMITS, dim=2)
    source = NewArrivals(LIMITS, catalogue=catalogue, n=5)
    rows = list(first_ms)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        for row in part:
            catalogue.upsert(row, item_id=str(row), first_ms=first_ms[row])
        source.arrived(np.array(part, np.int32))
    return catalogue, source


@settings(max_examples=60, deadline=None)
@given(
    first=st.dictionaries(st.integers(1, 199), st.integers(-20 * DAY_MS, 2 * DAY_MS), max_size=120),
    batch=st.sampled_from([1, 7, 1000]),
    seed=st.integers(0, 99),
)
def test_proposals_agree_with_plain_python(first: dict[int, int], batch: int, seed: int) -> None:
    catalogue, source = shop({row: NOW_MS + ahead for row, ahead in first.items()}, batch=batch)
    rng = np.random.default_rng(seed)
    catalogue.has_text[:] = rng.random(LIMITS.items) < 0.6
    catalogue.available[:] = rng.random(LIMITS.items) < 0.8
    catalogue.removed[:] = rng.random(LIMITS.items) < 0.1
    ids, scores = source.propose(random_query(seed, users=1, items=9))
    looked_at = sorted((row for row in first if first[row] <= 0), key=lambda row: (-first[row], row))[: 8 * 5]
    sold = [row for row in looked_at if catalogue.available[row] and not catalogue.removed[row]]
    chosen = (
        [row for row in sold if catalogue.has_text[row]]
        + [row for row in sold if not catalogue.has_text[row]]
    )[:5]
    expected = {
        row: (1.0 if catalogue.has_text[row] else 0.5) / (1.0 - first[row] / DAY_MS) for row in chosen
    }
    assert set(ids[0][ids[0] > 0].tolist()) == set(expected)
    for row, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
        assert score == pytest.approx(expected.get(row, 0.0), rel=1e-5)
    assert (np.diff(scores[0]) <= 0).all()


def test_a_query_in_the_past_sees_only_what_was_there() -> None:
    _, source = shop({1: NOW_MS - 5 * DAY_MS, 2: NOW_MS - DAY_MS})
    query = random_query(0, users=1, items=9)
    past = replace(query, now_ms=query.now_ms - 2 * DAY_MS)
    assert source.propose(past)[0].tolist() == [[1, 0, 0, 0, 0]]
    assert source.propose(query)[0].tolist() == [[2, 1, 0, 0, 0]]


def test_an_earlier_record_makes_an_item_older_and_eviction_takes_it_out() -> None:
    catalogue, source = shop({1: NOW_MS - DAY_MS, 2: NOW_MS - 2 * DAY_MS, 3: NOW_MS - 3 * DAY_MS})
    catalogue.upsert(1, item_id="1", first_ms=NOW_MS - 9 * DAY_MS)
    source.arrived(np.array([1], np.int32))
    query = random_query(0, users=1, items=9)
    assert source.propose(query)[0].tolist() == [[2, 3, 1, 0, 0]]
    source.evict(np.array([3], np.int32))
    assert source.propose(query)[0].tolist() == [[2, 1, 0, 0, 0]]


def test_restoring_takes_the_order_from_the_catalogue() -> None:
    catalogue, source = shop({row: NOW_MS - row * DAY_MS for row in range(1, 9)})
    again = NewArrivals(LIMITS, catalogue=catalogue, n=5)
    again.restore(source.snapshot())
    query = random_query(0, users=1, items=9)
    np.testing.assert_array_equal(again.propose(query)[0], source.propose(query)[0])
