"""Trails: every group's items in order, and every item's events, as linked lists in flat arrays.

A group is a session, a user or a basket, as the owner decides. Nothing is forgotten: the arrays hold one event
per item of a unit, so that their size is the stream's, known when the benchmark starts.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

NONE = -1


class Trails:
    """What each group took, step by step.

    With E events, G groups and N items: `item`, `group`, `step`: (E,) int32 of an event, the step counted from
    0 within its group (all items of one unit share a step). `before`, `after`: (E,) int32 the group's previous
    and next event; `earlier`: (E,) int32 the item's previous event; -1 is none. `last_of_group`: (G,) and
    `last_of_item`: (N,) int32. `steps`, `distinct`: (G,) int32 how many steps and distinct items a group has;
    `last_ms`: (G,) int64 its latest step. `times`: (N,) int32 how many events an item has.
    """

    def __init__(self, *, events: int, groups: int, items: int) -> None:
        self.item = np.zeros(events, np.int32)
        self.group = np.zeros(events, np.int32)
        self.step = np.zeros(events, np.int32)
        self.before = np.full(events, NONE, np.int32)
        self.after = np.full(events, NONE, np.int32)
        self.earlier = np.full(events, NONE, np.int32)
        self.last_of_group = np.full(groups, NONE, np.int32)
        self.last_of_item = np.full(items, NONE, np.int32)
        self.steps = np.zeros(groups, np.int32)
        self.distinct = np.zeros(groups, np.int32)
        self.last_ms = np.zeros(groups, np.int64)
        self.times = np.zeros(items, np.int32)
        self.events = 0
        self._mark = np.zeros(items, np.int64)
        self._marks = 0

    def append(self, group: int, *, items: NDArray[np.int64], at_ms: int) -> None:
        """Adds one step, of `items`: (n,) int64 distinct codes, to the group's end."""
        self._marks += 1
        _append(
            group,
            items,
            self.events,
            self.item,
            self.group,
            self.step,
            self.before,
            self.after,
            self.earlier,
            self.last_of_group,
            self.last_of_item,
            self.steps,
            self.distinct,
            self.times,
            self._mark,
            self._marks,
        )
        self.last_ms[group] = at_ms
        self.events += len(items)

    def latest(self, group: int, *, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The group's distinct items, the latest first, at most `most`: (n,) int64, and the step of each.

        An item stands at its latest step; of one step, the later in the unit comes first.
        """
        self._marks += 1
        return _latest(
            self.last_of_group[group], most, self.item, self.step, self.before, self._mark, self._marks
        )


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _append(
    new_group: int,
    items: NDArray[np.int64],
    event: int,
    item: NDArray[np.int32],
    group: NDArray[np.int32],
    step: NDArray[np.int32],
    before: NDArray[np.int32],
    after: NDArray[np.int32],
    earlier: NDArray[np.int32],
    last_of_group: NDArray[np.int32],
    last_of_item: NDArray[np.int32],
    steps: NDArray[np.int32],
    distinct: NDArray[np.int32],
    times: NDArray[np.int32],
    mark: NDArray[np.int64],
    marked: int,
) -> None:
    at = last_of_group[new_group]
    while at >= 0:
        mark[item[at]] = marked
        at = before[at]
    for i in items:
        item[event] = i
        group[event] = new_group
        step[event] = steps[new_group]
        before[event] = last_of_group[new_group]
        if before[event] >= 0:
            after[before[event]] = event
        earlier[event] = last_of_item[i]
        last_of_group[new_group] = event
        last_of_item[i] = event
        times[i] += 1
        if mark[i] != marked:
            distinct[new_group] += 1
        event += 1
    steps[new_group] += 1


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _latest(
    event: int,
    most: int,
    item: NDArray[np.int32],
    step: NDArray[np.int32],
    before: NDArray[np.int32],
    mark: NDArray[np.int64],
    marked: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    items = np.empty(most, np.int64)
    places = np.empty(most, np.int64)
    n = 0
    while event >= 0 and n < most:
        if mark[item[event]] != marked:
            mark[item[event]] = marked
            items[n] = item[event]
            places[n] = step[event]
            n += 1
        event = before[event]
    return items[:n], places[:n]
