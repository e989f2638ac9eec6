"""Rules and co-visitations against plain Python, slots and proposals alike."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from index.errors import SnapshotError
from index.sources.base import Limits, Query
from index.sources.covisits import KindWeights, Recall
from index.sources.history_covisitation import HistoryCovisitation, HistoryCovisitationConfig
from index.sources.query_items import Lookback
from index.sources.sequential_rules import SequentialRules, SequentialRulesConfig
from index.sources.session_covisitation import SessionCovisitation, SessionCovisitationConfig
from index.sources.traces import Traces
from tests.index.sources.random_logs import (
    ROOMY,
    SMALL,
    Placed,
    PlainTraces,
    Row,
    assert_proposes,
    cut,
    logs,
    place,
    plain_weights,
)

LOOKBACK = Lookback(items=3, session_decay=1.5, history_decay=2.5, history_weight=0.4)
RECALL = Recall(lookback=LOOKBACK, own_power=0.5, other_power=0.25)
RULES = SequentialRulesConfig(distance=3, recall=RECALL)
SESSION = SessionCovisitationConfig(partners=2, place_decay=2.0, recall=RECALL)
HISTORY = HistoryCovisitationConfig(partners=3, place_decay=2.0, recall=RECALL)
KINDS = {Kind.CLICK: 1.0, Kind.CART: 2.0, Kind.PURCHASE: 3.0}

PairSource = SequentialRules | SessionCovisitation | HistoryCovisitation
Credits = list[tuple[int, int, float]]  # item, partner, weight


def rule_credits(placed: Placed) -> Credits:
    row = placed.row
    return [
        (past.item, row.item, KINDS[Kind(row.kind)] / back)
        for back, past in enumerate(placed.before_in_session[::-1][: RULES.distance], start=1)
        if past.item != row.item and past.time_ms != row.time_ms
    ]


def session_credits(placed: Placed) -> Credits:
    row, pairs, seen, apart = placed.row, [], set(), 0
    for back, past in enumerate(placed.before_in_session[::-1], start=1):
        if apart == SESSION.partners:
            break
        if past.item == row.item or past.item in seen:
            continue
        seen.add(past.item)
        weight = math.sqrt(KINDS[Kind(row.kind)] * KINDS[Kind(past.kind)])
        if past.time_ms != row.time_ms:
            apart += 1
            weight *= math.exp(-(back - 1) / SESSION.place_decay)
        pairs += [(row.item, past.item, weight), (past.item, row.item, weight)]
    return pairs


def history_credits(placed: Placed) -> Credits:
    row, pairs, seen = placed.row, [], set()
    if row.item in [past.item for past in placed.before_of_user]:
        return []
    for past in placed.before_of_user[::-1]:
        if past.item in seen or len(seen) == HISTORY.partners:
            continue
        weight = math.sqrt(KINDS[Kind(row.kind)] * KINDS[Kind(past.kind)])
        weight *= math.exp(-len(seen) / HISTORY.place_decay)
        seen.add(past.item)
        pairs += [(row.item, past.item, weight), (past.item, row.item, weight)]
    return pairs


MAKERS: dict[str, tuple[Callable[[Limits, Traces], PairSource], Callable[[Placed], Credits]]] = {
    "rules": (lambda limits, traces: SequentialRules(limits, traces, 5, RULES), rule_credits),
    "session": (lambda limits, traces: SessionCovisitation(limits, traces, 5, SESSION), session_credits),
    "history": (lambda limits, traces: HistoryCovisitation(limits, traces, 5, HISTORY), history_credits),
}


class PlainSlots:
    """Space-Saving for each item, in lists of [partner, count, excess]; of equals the first is lightest."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.held: dict[int, list[list[float]]] = {}

    def credit(self, item: int, partner: int, weight: float) -> None:
        held = self.held.setdefault(item, [])
        for entry in held:
            if entry[0] == partner:
                entry[1] = float(np.float32(entry[1]) + np.float32(weight))
                return
        if len(held) < self.slots:
            held.append([partner, float(np.float32(weight)), 0.0])
            return
        lightest = min(held, key=lambda entry: np.float32(entry[1]) + np.float32(entry[2]))
        excess = float(np.float32(lightest[1]) + np.float32(lightest[2]))
        lightest[:] = [partner, float(np.float32(weight)), excess]


def plain_scores(slots: PlainSlots, plain: PlainTraces, query: Query, b: int) -> dict[int, float]:
    """`Recall`'s sum for one user, over lists."""
    weights, touched = plain_weights(query, b, LOOKBACK)
    scores: dict[int, float] = {}
    for item, weight in weights.items():
        for partner, count, _ in slots.held.get(item, []):
            gain = weight * count / plain.item_count[item] ** RECALL.own_power
            scores[int(partner)] = scores.get(int(partner), 0.0) + gain
    scores.pop(touched, None)
    return {i: s / plain.item_count[i] ** RECALL.other_power for i, s in scores.items()}


def learn(traces: Traces, source: PairSource, log: list[Row], size: int) -> None:
    for part in cut(log, size):
        for batch in place(traces, part):
            source.learn(batch)


@pytest.mark.parametrize("which", MAKERS)
@settings(max_examples=80, deadline=None)
@given(log=logs(), limits=st.sampled_from([SMALL, ROOMY]), size=st.integers(1, 60))
def test_slots_and_proposals_agree_with_plain_python(
    which: str, log: list[Row], limits: Limits, size: int
) -> None:
    make, credits = MAKERS[which]
    traces, plain, slots = Traces(limits), PlainTraces(limits), PlainSlots(limits.neighbours)
    source = make(limits, traces)
    learn(traces, source, log, size)
    for row in log:
        placed = plain.add(row)
        for item, partner, weight in credits(placed) if placed else []:
            slots.credit(item, partner, weight)
    arrays = source.snapshot()
    for item in range(limits.items):
        held = slots.held.get(item, [])
        empty = [[0, 0.0, 0.0]] * (limits.neighbours - len(held))
        partners, counts, excess = zip(*held, *empty, strict=True)
        assert arrays["partners"][item].tolist() == list(partners)
        np.testing.assert_allclose(arrays["counts"][item], counts, rtol=1e-6)
        np.testing.assert_allclose(arrays["excess"][item], excess, rtol=1e-6)
    users = [1, 2, 3, 4]
    query = plain.query(users, log[-1].time_ms if log else 0)
    rows, scores = source.propose(query)
    for b in range(len(users)):
        assert_proposes(rows[b], scores[b], expected=plain_scores(slots, plain, query, b))


@pytest.mark.parametrize("which", MAKERS)
@settings(max_examples=25, deadline=None)
@given(log=logs(), size=st.integers(1, 20), half=st.integers(0, 60))
def test_a_restored_copy_goes_on_alike_whatever_the_batches(
    which: str, log: list[Row], size: int, half: int
) -> None:
    make, _ = MAKERS[which]
    traces, again = Traces(SMALL), Traces(SMALL)
    whole, first = make(SMALL, traces), make(SMALL, again)
    learn(traces, whole, log, 60)
    learn(again, first, log[:half], 60)
    second = make(SMALL, again)
    second.restore(first.snapshot())
    learn(again, second, log[half:], size)
    for name, array in whole.snapshot().items():
        np.testing.assert_array_equal(second.snapshot()[name], array)


@pytest.mark.parametrize("which", MAKERS)
@settings(max_examples=25, deadline=None)
@given(log=logs(), gone=st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True))
def test_evicted_items_are_neither_items_nor_partners(which: str, log: list[Row], gone: list[int]) -> None:
    make, _ = MAKERS[which]
    traces, plain = Traces(SMALL), PlainTraces(SMALL)
    source = make(SMALL, traces)
    learn(traces, source, log, 60)
    before = source.snapshot()
    source.evict(np.array(gone, np.int32))
    arrays = source.snapshot()
    assert not arrays["partners"][gone].any()
    assert not np.isin(arrays["partners"], gone).any()
    for name in ("counts", "excess"):
        assert not arrays[name][arrays["partners"] == 0].any()
    stay = ~np.isin(before["partners"], gone)
    stay[gone] = False
    np.testing.assert_array_equal(arrays["counts"][stay], before["counts"][stay])
    for row in log:
        plain.add(row)
    rows, _ = source.propose(plain.query([1, 2, 3, 4], 10**7))
    assert not np.isin(rows, gone).any()


@pytest.mark.parametrize("which", MAKERS)
def test_memory_stays_as_allocated(which: str) -> None:
    make, _ = MAKERS[which]
    traces = Traces(SMALL)
    source = make(SMALL, traces)
    before = sum(array.nbytes for array in source.snapshot().values())
    rng = np.random.Generator(np.random.PCG64(3))
    for _ in range(2):
        cells = rng.integers([1, 1, 2], [5, 9, 4], (500, 3)).tolist()
        learn(traces, source, [Row(u, i, k, 100 * at, 0) for at, (u, i, k) in enumerate(cells)], 50)
    assert sum(array.nbytes for array in source.snapshot().values()) == before


@pytest.mark.parametrize("which", MAKERS)
def test_an_items_true_companion_is_found_and_noise_is_not(which: str) -> None:
    make, _ = MAKERS[which]
    traces, plain = Traces(ROOMY), PlainTraces(ROOMY)
    source = make(ROOMY, traces)
    rng = np.random.Generator(np.random.PCG64(8))
    log: list[Row] = []
    for visit in range(60):
        first = int(rng.integers(1, 5))
        user, at = 1 + visit % 3, 5000 * visit
        items = [first, first + 4, int(rng.integers(1, 9))]
        log += [Row(user, item, Kind.CLICK, at + 10 * n, 0) for n, item in enumerate(items)]
    learn(traces, source, log, 7)
    for first in (1, 2, 3, 4):
        row = Row(4, first, Kind.CLICK, 10**6 * first, first)
        plain.add(row)
        learn(traces, source, [row], 1)
        query = plain.query([4], row.time_ms)
        alone = replace(query, history=np.zeros_like(query.history))
        found = source.propose(alone)[0][0]
        if which == "history":  # three users who met everything: only that it proposes all others is known
            assert first not in found
        else:
            assert found[0] == first + 4


def test_a_purchase_says_more_than_a_click() -> None:
    limits, traces = ROOMY, Traces(ROOMY)
    source = SequentialRules(limits, traces)
    log = [
        Row(1, 1, 2, 10, 0),
        Row(1, 2, Kind.CLICK, 20, 0),
        Row(2, 1, 2, 30, 0),
        Row(2, 3, Kind.PURCHASE, 40, 0),
    ]
    learn(traces, source, log, 4)
    arrays = source.snapshot()
    assert dict(zip(arrays["partners"][1].tolist(), arrays["counts"][1].tolist(), strict=True))[3] == 3.0
    assert arrays["counts"][1].max() == 3.0


def test_a_basket_makes_no_rule_but_its_items_are_covisited_whatever_the_order() -> None:
    traces = Traces(ROOMY)
    rules, pairs = SequentialRules(ROOMY, traces), SessionCovisitation(ROOMY, traces)
    for batch in place(traces, [Row(1, item, Kind.PURCHASE, 50, 0) for item in (1, 2, 3, 4)]):
        rules.learn(batch)
        pairs.learn(batch)
    assert not rules.snapshot()["partners"].any()
    counts = pairs.snapshot()["counts"]
    np.testing.assert_allclose(counts[1:5].sum(axis=1), [9.0] * 4, rtol=1e-6)


def test_a_basket_of_many_items_makes_boundedly_many_pairs() -> None:
    limits = Limits(items=600, users=5, sessions=6, neighbours=64)
    traces = Traces(limits)
    source = SessionCovisitation(limits, traces, config=SessionCovisitationConfig(partners=5))
    learn(traces, source, [Row(1, item, Kind.PURCHASE, 50, 0) for item in range(1, 600)], 600)
    assert (source.snapshot()["partners"] > 0).sum(axis=1).max() == 2 * traces.session_window


@pytest.mark.parametrize("which", MAKERS)
def test_a_snapshot_of_other_limits_is_refused(which: str) -> None:
    make, _ = MAKERS[which]
    source = make(SMALL, Traces(SMALL))
    with pytest.raises(SnapshotError, match=source.name):
        source.restore(make(ROOMY, Traces(ROOMY)).snapshot())


def test_configs_out_of_range_are_refused() -> None:
    for wrong in (
        lambda: KindWeights(click=3.0, cart=2.0),
        lambda: Lookback(items=0),
        lambda: Recall(own_power=-0.1),
        lambda: SequentialRulesConfig(distance=0),
        lambda: SessionCovisitationConfig(partners=0),
        lambda: HistoryCovisitationConfig(partners=0),
    ):
        with pytest.raises(ValueError, match=r"at least|allowed"):
            wrong()
