"""Units before anything is learnt from them: who asks, when, and what they turned out to want."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from events.flatten import EventColumns
from index.rows import Rows
from serving.state import StateView

POSITIVE = (Kind.CLICK, Kind.CART, Kind.PURCHASE)
_IS_POSITIVE = np.isin(np.arange(max(Kind) + 1), POSITIVE)  # by kind


@dataclass(frozen=True, slots=True)
class Asked:
    """B units, each of another shopper."""

    view: StateView  # of the shoppers, before what they want is known
    now_ms: NDArray[np.int64]  # (B,)
    targets: list[NDArray[np.int32]]  # B times the distinct items as rows, one -1 for each without a row yet
    kinds: NDArray[np.int8]  # (B,) Kind of what was done
    unaided: NDArray[np.bool_]  # (B,) it did not answer a slate

    @property
    def relevant(self) -> NDArray[np.int64]:
        """(B,) how many items were wanted."""
        return np.array([len(wanted) for wanted in self.targets], np.int64)

    @property
    def warm(self) -> NDArray[np.bool_]:
        """(B,) the shopper was known before."""
        return np.asarray(self.view.events > 0)

    def labels(self, gains: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, C, 3) float32 clicked, carted, bought, from (B, C) what was among the targets."""
        done = self.kinds[:, None] == np.array(POSITIVE, np.int8)  # (B, 3)
        return np.where(done[:, None, :], gains[:, :, None], np.float32(0))


def units_asked(
    columns: EventColumns,
    *,
    view: StateView,
    items: Rows,
    unaided: NDArray[np.bool_],
    session_gap_ms: int,
) -> Asked | None:
    """The units among (n,) events of different shoppers, whose states are `view`; None without one.

    An event with nothing but the item that the shopper touched just before in the same session is none: whoever
    looks at an item needs no recommendation to find it.
    """
    told = columns.interactions
    live = columns.event_times_ms - view.session_times_ms[:, 0] <= session_gap_ms
    alone = np.bincount(told.events, minlength=len(columns)) == 1
    again = (live & alone)[told.events] & (told.items == view.session[told.events, 0])
    positive = _IS_POSITIVE[told.kinds] & ~again
    rows, first = np.unique(told.events[positive], return_index=True)  # (B,) event = user: one event a user
    if not len(rows):
        return None
    return Asked(
        view=view.take(rows),
        now_ms=columns.event_times_ms[rows],
        targets=_targets(told, positive=positive, rows=rows, items=items),
        kinds=told.kinds[positive][first],
        unaided=unaided[rows],
    )


def _targets(
    told: Interactions, *, positive: NDArray[np.bool_], rows: NDArray[np.int32], items: Rows
) -> list[NDArray[np.int32]]:
    item_rows = items.lookup(told.items)
    targets = []
    for row in rows.tolist():
        mine = positive & (told.events == row)
        _, first = np.unique(told.items[mine], return_index=True)
        found = item_rows[mine][first]
        targets.append(np.where(found > 0, found, -1).astype(np.int32))
    return targets
