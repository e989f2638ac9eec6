"""The compiled pass behind `fold`: what one event does to one user's row of words (fold.py says it in words).

All kernels that call one another lie in this file, because numba's cache only watches the caller's own file.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from events.columns import Kind
from serving import state_layout as layout
from serving.decay import STEPS

_IMPRESSION, _CLICK, _CART = int(Kind.IMPRESSION), int(Kind.CLICK), int(Kind.CART)
_UNCART, _PURCHASE, _REFUND = int(Kind.UNCART), int(Kind.PURCHASE), int(Kind.REFUND)
_KIND_SHIFT = 2 * layout.COUNT_BITS


@njit(nogil=True, cache=True)
def _decay(value: int, age_ms: int, half_life_ms: int, table: NDArray[np.int64]) -> int:
    """`value` * 2^(-age / half life), the table interpolated linearly. int64 throughout."""
    steps = age_ms * STEPS // half_life_ms
    halvings, step = steps // STEPS, steps % STEPS
    if halvings >= 62:
        return 0
    fraction = ((age_ms * STEPS - steps * half_life_ms) << 16) // half_life_ms
    factor = table[step] + ((table[step + 1] - table[step]) * fraction >> 16)
    decayed: int = ((value * factor + (layout.ONE >> 1)) >> layout.ONE_BITS) >> halvings
    return decayed


@njit(nogil=True, cache=True)
def _seen_before(row: NDArray[np.int64], event_id: int, seen: int) -> bool:
    """Whether the id is among the last ones; if it is not, it is now. Id 0 is no id."""
    if event_id == 0:
        return False
    for place in range(layout.HEADER, layout.HEADER + seen):
        if row[place] == event_id:
            return True
    row[layout.HEADER + row[layout.SEEN_COUNT] % seen] = event_id
    row[layout.SEEN_COUNT] += 1
    return False


@njit(nogil=True, cache=True)
def _is_repeated(items: NDArray[np.int64], start: int, place: int) -> bool:
    """Whether the event has the item at an earlier place too."""
    for earlier in range(start, place):  # noqa: SIM110 (numba compiles no generator expression)
        if items[earlier] == items[place]:
            return True
    return False


@njit(nogil=True, cache=True)
def _note(row: NDArray[np.int64], time_ms: int, position: NDArray[np.int64]) -> None:
    """What every applied event changes in the header."""
    row[layout.FIRST_MS] = min(row[layout.FIRST_MS], time_ms) if row[layout.EVENTS] > 0 else time_ms
    row[layout.LAST_MS] = max(row[layout.LAST_MS], time_ms)
    row[layout.EVENTS] += 1
    row[layout.TOPIC] = position[0]
    row[layout.PARTITION] = position[1]
    row[layout.OFFSET] = position[2]


@njit(nogil=True, cache=True)
def _continue_session(
    row: NDArray[np.int64], time_ms: int, session_id: int, gap_ms: int, session_at: int
) -> bool:
    """Open, go on with or leave alone the session; whether the event belongs to it."""
    last_ms = row[layout.SESSION_LAST_MS]
    changed = session_id != 0 and row[layout.SESSION_ID] != 0 and session_id != row[layout.SESSION_ID]
    if row[layout.SESSION_START_MS] == 0 or (time_ms >= last_ms and (changed or time_ms - last_ms > gap_ms)):
        row[session_at : session_at + row[layout.SESSION_COUNT] * layout.SESSION_SLOT] = 0
        row[layout.SESSION_COUNT] = 0
        row[layout.SESSION_ID] = session_id
        row[layout.SESSION_START_MS] = time_ms
        row[layout.SESSION_LAST_MS] = time_ms
        return True
    if changed or row[layout.SESSION_START_MS] - time_ms > gap_ms:
        return False
    if session_id != 0:
        row[layout.SESSION_ID] = session_id
    row[layout.SESSION_START_MS] = min(row[layout.SESSION_START_MS], time_ms)
    row[layout.SESSION_LAST_MS] = max(last_ms, time_ms)
    return True


@njit(nogil=True, cache=True)
def _add_to_session(
    row: NDArray[np.int64], item: int, time_ms: int, kind: int, session_at: int, capacity: int
) -> None:
    """Put the interaction before those that are not later; the last slot falls off when all are filled."""
    count = row[layout.SESSION_COUNT]
    place = 0
    while place < count and row[session_at + place * layout.SESSION_SLOT + layout.SESSION_MS] > time_ms:
        place += 1
    if place == capacity:
        return
    count = min(count + 1, capacity)
    row[layout.SESSION_COUNT] = count
    for word in range(
        session_at + count * layout.SESSION_SLOT - 1, session_at + (place + 1) * layout.SESSION_SLOT - 1, -1
    ):
        row[word] = row[word - layout.SESSION_SLOT]
    at = session_at + place * layout.SESSION_SLOT
    row[at + layout.SESSION_ITEM] = item
    row[at + layout.SESSION_MS] = time_ms
    row[at + layout.SESSION_KIND] = kind


@njit(nogil=True, cache=True)
def _slot_of(row: NDArray[np.int64], item: int, history_at: int) -> int:
    """The history slot of the item, -1 where it has none."""
    for slot in range(row[layout.HISTORY_COUNT]):
        if row[history_at + slot * layout.HISTORY_SLOT + layout.ITEM] == item:
            return slot
    return -1


@njit(nogil=True, cache=True)
def _least(
    row: NDArray[np.int64], history_at: int, capacity: int, half_life_ms: int, table: NDArray[np.int64]
) -> int:
    """The slot to give up: of the older half the one with the lowest frequency by now, ties the oldest.
    The newer half stays, so that many old favourites cannot keep new interests out."""
    least, least_decayed = capacity - 1, layout.DECAYED_MAX + 1
    for slot in range(capacity - 1, capacity // 2 - 1, -1):
        at = history_at + slot * layout.HISTORY_SLOT
        age_ms = row[layout.LAST_MS] - row[at + layout.ITEM_LAST_MS]
        steps = age_ms * STEPS // half_life_ms
        at_least = (
            row[at + layout.DECAYED] * table[steps % STEPS + 1] >> layout.ONE_BITS >> min(steps // STEPS, 62)
        )
        if at_least >= least_decayed:
            continue  # as most are; the second division is what costs
        decayed = _decay(row[at + layout.DECAYED], age_ms, half_life_ms, table)
        if decayed < least_decayed:
            least, least_decayed = slot, decayed
    return least


@njit(nogil=True, cache=True)
def _count(row: NDArray[np.int64], at: int, kind: int, change: int) -> None:
    """Add `change` to the slot's purchases (PURCHASE, REFUND) or views, between 0 and layout.COUNT_MAX."""
    shift = layout.COUNT_BITS if kind in (_PURCHASE, _REFUND) else 0
    count = row[at + layout.COUNTS] >> shift & layout.COUNT_MAX
    changed = min(max(count + change, 0), layout.COUNT_MAX)
    row[at + layout.COUNTS] += (changed - count) << shift


@njit(nogil=True, cache=True)
def _touch_history(
    row: NDArray[np.int64],
    item: int,
    time_ms: int,
    kind: int,
    weight: int,
    history_at: int,
    capacity: int,
    half_life_ms: int,
    table: NDArray[np.int64],
) -> None:
    """Count a click, cart or purchase of the item, and keep the slots ordered by their last times."""
    count: int = row[layout.HISTORY_COUNT]
    slot = _slot_of(row, item, history_at)
    at = history_at + slot * layout.HISTORY_SLOT
    if slot >= 0 and time_ms < row[at + layout.ITEM_LAST_MS]:
        _count(row, at, kind, 1)
        late = _decay(weight, row[at + layout.ITEM_LAST_MS] - time_ms, half_life_ms, table)
        row[at + layout.DECAYED] = min(row[at + layout.DECAYED] + late, layout.DECAYED_MAX)
        row[at + layout.ITEM_FIRST_MS] = min(row[at + layout.ITEM_FIRST_MS], time_ms)
        return
    first_ms, counts, decayed = time_ms, 0, 0
    if slot >= 0:
        first_ms = row[at + layout.ITEM_FIRST_MS]
        counts = row[at + layout.COUNTS]
        decayed = _decay(
            row[at + layout.DECAYED], time_ms - row[at + layout.ITEM_LAST_MS], half_life_ms, table
        )
    elif count == capacity:
        slot = _least(row, history_at, capacity, half_life_ms, table)
    else:
        slot = count
        count += 1
        row[layout.HISTORY_COUNT] = count
    # From here on `at` is a hole: it moves to where the touch belongs, behind the later ones.
    at = hole = history_at + slot * layout.HISTORY_SLOT
    while at > history_at and row[at - layout.HISTORY_SLOT + layout.ITEM_LAST_MS] <= time_ms:
        at -= layout.HISTORY_SLOT
    for word in range(hole - 1, at - 1, -1):
        row[word + layout.HISTORY_SLOT] = row[word]
    last_at = history_at + (count - 1) * layout.HISTORY_SLOT
    while at < last_at and row[at + layout.HISTORY_SLOT + layout.ITEM_LAST_MS] > time_ms:
        at += layout.HISTORY_SLOT
    for word in range(hole, at):
        row[word] = row[word + layout.HISTORY_SLOT]
    row[at + layout.ITEM] = item
    row[at + layout.ITEM_FIRST_MS] = first_ms
    row[at + layout.ITEM_LAST_MS] = time_ms
    row[at + layout.COUNTS] = counts & ((1 << _KIND_SHIFT) - 1) | kind << _KIND_SHIFT
    row[at + layout.DECAYED] = min(decayed + weight, layout.DECAYED_MAX)
    _count(row, at, kind, 1)


@njit(nogil=True, cache=True)
def _undo_in_history(
    row: NDArray[np.int64], item: int, time_ms: int, kind: int, weight: int, history_at: int
) -> None:
    """Take one view (UNCART) or purchase (REFUND) of the item back; its place and times stay.

    The weight comes off undecayed, as if of the last touch: exact when that is what is taken back.
    """
    slot = _slot_of(row, item, history_at)
    if slot < 0:
        return
    at = history_at + slot * layout.HISTORY_SLOT
    _count(row, at, kind, -1)
    row[at + layout.DECAYED] = max(row[at + layout.DECAYED] - weight, 0)
    if time_ms >= row[at + layout.ITEM_LAST_MS]:
        row[at + layout.COUNTS] = row[at + layout.COUNTS] & ((1 << _KIND_SHIFT) - 1) | kind << _KIND_SHIFT


@njit(nogil=True, cache=True)
def fold_rows(
    states: NDArray[np.int64],
    event_user: NDArray[np.int32],
    event_ids: NDArray[np.int64],
    event_times_ms: NDArray[np.int64],
    event_positions: NDArray[np.int64],
    skip: NDArray[np.bool_],
    items: NDArray[np.int64],
    kinds: NDArray[np.int8],
    sessions: NDArray[np.int64],
    events: NDArray[np.int32],
    applied: NDArray[np.bool_],
    seen: int,
    session: int,
    history: int,
    gap_ms: int,
    half_life_ms: int,
    weights: NDArray[np.int64],
    table: NDArray[np.int64],
) -> int:
    """-1, or the first event that is out of range (then nothing was changed)."""
    n, rows = len(event_user), len(items)
    at = 0
    for event in range(n):
        while at < rows and events[at] == event:
            at += 1
        if event_user[event] < 0 or event_user[event] >= len(states) or event_times_ms[event] <= 0:
            return event
    if at < rows:
        return max(int(events[at]), 0)
    session_at = layout.HEADER + seen
    history_at = session_at + session * layout.SESSION_SLOT
    start = stop = 0
    for event in range(n):
        start = stop
        while stop < rows and events[stop] == event:
            stop += 1
        row = states[event_user[event]]
        if skip[event] or _seen_before(row, event_ids[event], seen):
            continue
        applied[event] = True
        time_ms = event_times_ms[event]
        event_kind = kinds[start] if start < stop else 0
        _note(row, time_ms, event_positions[event])
        if event_kind == _PURCHASE:
            row[layout.PURCHASES] += 1
        in_session = False
        if event_kind != _REFUND:
            session_id = sessions[start] if start < stop else 0
            in_session = _continue_session(row, time_ms, session_id, gap_ms, session_at)
        for place in range(start, stop):
            item, kind = items[place], int(kinds[place])
            if _is_repeated(items, start, place):
                continue
            if kind == _IMPRESSION:
                row[layout.IMPRESSIONS] += 1
            elif kind in (_UNCART, _REFUND):
                _undo_in_history(row, item, time_ms, kind, weights[kind], history_at)
            elif kind in (_CLICK, _CART, _PURCHASE):
                if in_session:
                    _add_to_session(row, item, time_ms, kind, session_at, session)
                _touch_history(
                    row, item, time_ms, kind, weights[kind], history_at, history, half_life_ms, table
                )
    return -1
