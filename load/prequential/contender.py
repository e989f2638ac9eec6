"""What the benchmark asks of a recommender: to answer a query before it sees the truth, then to learn from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

PROTOCOLS = ("basket", "session", "event")


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to predict: a basket, or one event of a session.

    `index`: its number from 0, in time order. `user`: dense code of the user column. `session`: dense code of
    the session, a new one after the session gap; the user's for baskets. `items`: (n,) int64 distinct item
    codes, n >= 1: the answer. `rows`: the rows of the stream that make it, into StreamInfo's columns.
    """

    index: int
    at_ms: int
    user: int
    session: int
    items: NDArray[np.int64]
    rows: slice


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row that nobody is asked for, since it has the item of the row before it in its session: a product put
    into the cart right after it was looked at. The fields are as a unit's; `items`: (1,), `rows`: one row."""

    at_ms: int
    user: int
    session: int
    items: NDArray[np.int64]
    rows: slice


@dataclass(frozen=True, slots=True)
class Query:
    """What may be known of a unit before its answer: when, who and in which session."""

    index: int
    at_ms: int
    user: int
    session: int


class Contender(Protocol):
    """A recommender that is tested, then taught, unit by unit.

    `recommend` and `learn` are called in turn, in time order, one pair per unit; `see`, with no question before,
    between a pair and the next. A contender must not use an item before it has learned a unit with it or, where
    the catalogue says when an item came (`first_ts`), until that time is past: often the item's first sale is
    that very moment.
    """

    @property
    def name(self) -> str: ...

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """Up to k distinct item codes (<= k,) int64, best first; fewer, or none, where it knows no more."""

    def learn(self, unit: Unit, /) -> None:
        """Takes the answer to the last query in."""

    def see(self, repeat: Repeat, /) -> None:
        """Takes a row in that was not asked for; its item was learned in the same session just before."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamInfo:
    """The stream, for a contender that is being made: sizes to allocate, and the rows that units point into.

    Reading a row that no learned unit or seen repeat points to is cheating: what a contender may read of the
    columns is `ts[unit.rows]` and so on. With R rows, in time order:

    `ts`: (R,) int64 ms. `item`, `user`: (R,) int64 dense codes. `event`: (R,) int16 codes into `event_names`
    (the file's own words); `qty`, `price`: (R,) float32 with NaN where unknown, or None.
    `user_names`, `item_names`: the file's ids by code. `item_texts`: by item code, "" where unknown, or None.
    `item_first_ts`: (n_items,) int64 ms from the catalogue, or None. `item_categories`: by code, or None.
    """

    n_items: int
    n_users: int
    n_sessions: int
    n_units: int
    protocol: str
    ts: NDArray[np.int64]
    item: NDArray[np.int64]
    user: NDArray[np.int64]
    event: NDArray[np.int16]
    event_names: Sequence[str]
    qty: NDArray[np.float32] | None
    price: NDArray[np.float32] | None
    user_names: Sequence[str]
    item_names: Sequence[str]
    item_texts: Sequence[str] | None = None
    item_first_ts: NDArray[np.int64] | None = None
    item_categories: Sequence[str] | None = None


Factory = Callable[[StreamInfo, int], Contender]
"""Makes a fresh contender for a stream from a seed."""
