"""Traces against lists that never end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from index.errors import SnapshotError
from index.sources.base import Limits
from index.sources.placing import session_row
from index.sources.traces import Traces
from tests.index.sources.random_logs import ROOMY, SMALL, PlainTraces, Row, cut, logs, place


def ring(array: np.ndarray, row: int, count: int) -> list[int]:
    """A ring's entries, oldest first."""
    length = array.shape[1]
    return [int(array[row, at % length]) for at in range(max(0, count - length), count)]


def assert_agrees(traces: Traces, plain: PlainTraces) -> None:
    assert traces.last_serial[0] == len(plain.sessions)
    for session in plain.sessions:
        row = session_row(session.serial, len(plain.sessions), SMALL.sessions)
        assert (row != 0) == plain.is_live(session)
        if row:
            assert traces.session_count[row] == len(session.rows)
            assert ring(traces.session_items, row, len(session.rows)) == plain.items_of(session)
            kept = session.rows[-SMALL.session_length :]
            assert ring(traces.session_times, row, len(session.rows)) == [r.time_ms for r in kept]
            assert ring(traces.session_kinds, row, len(session.rows)) == [r.kind for r in kept]
            assert traces.session_user[row] == session.user
            assert traces.session_last_ms[row] == session.last_ms
    for user in range(1, SMALL.users):
        rows = plain.user_rows.get(user, [])
        kept = rows[-SMALL.user_items :]
        assert traces.user_count[user] == len(rows)
        assert ring(traces.user_items, user, len(rows)) == [r.item for r in kept]
        assert ring(traces.user_times, user, len(rows)) == [r.time_ms for r in kept]
        assert ring(traces.user_kinds, user, len(rows)) == [r.kind for r in kept]
        session = plain.user_session.get(user)
        live = session is not None and plain.is_live(session)
        assert (traces.user_session[user] != 0) == live
        if session is not None and live:
            assert traces.user_session[user] == session_row(
                session.serial, len(plain.sessions), SMALL.sessions
            )
        assert traces.user_last_ms[user] == plain.user_last_ms.get(user, 0)
    for item in range(1, SMALL.items):
        serials = [s.serial for s in plain.item_sessions.get(item, [])]
        assert traces.item_session_count[item] == len(serials)
        assert ring(traces.item_sessions, item, len(serials)) == serials[-SMALL.item_sessions :]
        users = plain.item_users.get(item, [])
        assert traces.item_user_count[item] == len(users)
        assert ring(traces.item_users, item, len(users)) == users[-SMALL.item_users :]
        assert traces.item_count[item] == plain.item_count.get(item, 0)
        assert traces.item_first_ms[item] == plain.item_first_ms.get(item, 0)
    for array in (traces.session_items, traces.user_items, traces.item_sessions, traces.item_users):
        assert not array[0].any()


@settings(max_examples=120, deadline=None)
@given(log=logs(), size=st.integers(1, 60))
def test_rings_agree_with_plain_lists_and_rows_see_their_past(log: list[Row], size: int) -> None:
    traces, plain = Traces(SMALL), PlainTraces(SMALL)
    for part in cut(log, size):
        rows = iter(part)
        for batch in place(traces, part):
            for e in range(len(batch.items)):
                row = next(rows)
                placed = plain.add(row)
                if placed is None:
                    assert row.kind in (1, 4, 6) or batch.sessions[e] == 0
                    continue
                at, session = int(batch.session_at[e]), int(batch.sessions[e])
                past = [
                    int(traces.session_items[session, before % SMALL.session_length])
                    for before in range(max(0, at - traces.session_window), at)
                ]
                assert past == [r.item for r in placed.before_in_session]
                at = int(batch.user_at[e])
                past = [
                    int(traces.user_items[row.user, before % SMALL.user_items])
                    for before in range(max(0, at - traces.user_window), at)
                ]
                assert past == [r.item for r in placed.before_of_user]
        assert next(rows, None) is None
    assert_agrees(traces, plain)


@settings(max_examples=60, deadline=None)
@given(log=logs(), size=st.integers(1, 20), half=st.integers(0, 60))
def test_a_restored_copy_goes_on_alike_whatever_the_batches(log: list[Row], size: int, half: int) -> None:
    whole, first = Traces(SMALL), Traces(SMALL)
    list(place(whole, log))
    list(place(first, log[:half]))
    second = Traces(SMALL)
    second.restore(first.snapshot())
    for part in cut(log[half:], size):
        list(place(second, part))
    for name, array in whole.snapshot().items():
        np.testing.assert_array_equal(second.snapshot()[name], array, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(log=logs(), gone=st.lists(st.integers(1, 8), max_size=4, unique=True))
def test_evicted_items_are_nowhere(log: list[Row], gone: list[int]) -> None:
    traces = Traces(SMALL)
    list(place(traces, log))
    before = traces.snapshot()
    traces.evict_items(np.array(gone, np.int32))
    for items in (traces.session_items, traces.user_items):
        assert not np.isin(items, gone).any()
    for name in ("item_sessions", "item_users", "item_count", "item_first_ms", "item_session_count"):
        array = traces.snapshot()[name]
        assert not array[gone].any()
        others = np.setdiff1d(np.arange(SMALL.items), gone)
        np.testing.assert_array_equal(array[others], before[name][others])
    stay = ~np.isin(before["session_items"], gone)
    np.testing.assert_array_equal(traces.session_times[stay], before["session_times"][stay])
    np.testing.assert_array_equal(traces.session_items[stay], before["session_items"][stay])


@settings(max_examples=60, deadline=None)
@given(log=logs(), gone=st.lists(st.integers(1, 4), max_size=3, unique=True))
def test_evicted_users_are_nowhere_but_their_sessions_stay(log: list[Row], gone: list[int]) -> None:
    traces = Traces(SMALL)
    list(place(traces, log))
    before = traces.snapshot()
    traces.evict_users(np.array(gone, np.int32))
    assert not np.isin(traces.item_users, gone).any()
    assert not np.isin(traces.session_user, gone).any()
    for name in ("user_items", "user_count", "user_session", "user_last_ms", "user_session_id"):
        assert not traces.snapshot()[name][gone].any()
    np.testing.assert_array_equal(traces.session_items, before["session_items"])
    list(place(traces, [Row(user, 3, Kind.CLICK, 9_000_000, 0) for user in gone]))
    assert traces.user_count[gone].tolist() == [1] * len(gone)


def clicks(user: int, *times_ms: int, session_id: int = 0) -> list[Row]:
    return [Row(user, 1 + at % 8, Kind.CLICK, time, session_id) for at, time in enumerate(times_ms)]


def test_a_session_ends_after_the_gap_or_with_another_session_id() -> None:
    traces = Traces(ROOMY)
    log = [*clicks(1, 5000, 6000, 7001), *clicks(1, 7002, session_id=7), *clicks(1, 7003, session_id=8)]
    (batch,) = place(traces, [*log, *clicks(1, 7004)])
    assert batch.sessions.tolist() == [1, 1, 2, 2, 3, 3]


def test_a_clock_that_ran_ahead_does_not_hold_the_session_open() -> None:
    traces = Traces(ROOMY)
    (batch,) = place(traces, clicks(1, 5000, 86_400_000, 5100, 5200, 6201))
    assert batch.sessions.tolist() == [1, 2, 2, 2, 3]


def test_a_slightly_late_event_does_not_shorten_the_session() -> None:
    traces = Traces(ROOMY)
    (batch,) = place(traces, clicks(1, 5000, 4500, 5900))
    assert batch.sessions.tolist() == [1, 1, 1]


def test_impressions_uncarts_and_refunds_leave_no_trace_but_first_sight() -> None:
    traces = Traces(SMALL)
    rows = [Row(1, 2, kind, 5000, 0) for kind in (Kind.IMPRESSION, Kind.UNCART, Kind.REFUND)]
    list(place(traces, rows))
    changed = {name for name, array in traces.snapshot().items() if array.any()}
    assert changed == {"item_first_ms"}


def test_memory_stays_as_allocated_over_ten_times_the_log() -> None:
    traces = Traces(SMALL)
    before = traces.nbytes
    rng = np.random.Generator(np.random.PCG64(3))
    for _ in range(10):
        cells = rng.integers([1, 1, 1], [5, 9, 7], (300, 3)).tolist()
        list(place(traces, [Row(u, i, k, 1000 * at, 0) for at, (u, i, k) in enumerate(cells)]))
    assert (
        traces.nbytes == before == sum(v.nbytes for v in vars(traces).values() if not isinstance(v, Limits))
    )


def test_a_snapshot_of_other_limits_is_refused_and_changes_nothing() -> None:
    traces, other = Traces(SMALL), Traces(Limits(items=9, users=5, sessions=7))
    list(place(traces, clicks(1, 5000)))
    before = traces.snapshot()
    with pytest.raises(SnapshotError, match="session_items"):
        traces.restore(other.snapshot())
    for name, array in traces.snapshot().items():
        np.testing.assert_array_equal(array, before[name])
