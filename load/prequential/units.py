"""A stream cut into units, the things to predict, by one of three protocols; and what was known before each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.errors import BadLoadConfig, BadStream
from load.prequential.contender import PROTOCOLS, Unit
from load.prequential.repeats import NO_REPEATS, Repeats
from load.prequential.stream import Stream


@dataclass(frozen=True, slots=True)
class ProtocolConfig:
    """What a unit is.

    basket: all rows of a user at one time. session: a row whose item is not the one before it in its session;
    the others are shown, and not asked for. event: a row. `session_gap_ms`: a longer pause starts a user's next
    session; None: the user is the session.
    `limit_units`: only so many, the first. `burn_in`: the share of the units, the first ones, that count in
    no figure.
    """

    protocol: str = "basket"
    session_gap_ms: int | None = None
    limit_units: int | None = None
    burn_in: float = 0.1

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise BadLoadConfig(f"protocol: received {self.protocol!r}, expected one of {PROTOCOLS}")
        if self.session_gap_ms is not None and self.session_gap_ms < 1:
            raise BadLoadConfig(f"session gap: received {self.session_gap_ms} ms, expected at least 1")
        if self.session_gap_ms is not None and self.protocol == "basket":
            raise BadLoadConfig("session gap: baskets have no sessions; leave it out")
        if self.limit_units is not None and self.limit_units < 1:
            raise BadLoadConfig(f"limit of units: received {self.limit_units}, expected at least 1")
        if not 0 <= self.burn_in < 1:
            raise BadLoadConfig(f"burn-in: received {self.burn_in}, expected 0 or more and below 1")


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """n units in time order with T targets (distinct items of a unit) in all; and the rows that are no units."""

    at_ms: NDArray[np.int64]  # (n,)
    user: NDArray[np.int64]  # (n,)
    session: NDArray[np.int64]  # (n,)
    starts: NDArray[np.int64]  # (n,) first row of the unit in the stream
    stops: NDArray[np.int64]  # (n,) and the row after its last
    items: NDArray[np.int64]  # (T,) targets, unit by unit
    ends: NDArray[np.int64]  # (n,) where each unit's targets end
    repeats: Repeats = NO_REPEATS

    def __len__(self) -> int:
        return len(self.at_ms)

    def __iter__(self) -> Iterator[Unit]:
        start = 0
        for at in range(len(self)):
            end = int(self.ends[at])
            yield Unit(
                index=at,
                at_ms=int(self.at_ms[at]),
                user=int(self.user[at]),
                session=int(self.session[at]),
                items=self.items[start:end],
                rows=slice(int(self.starts[at]), int(self.stops[at])),
            )
            start = end

    def first(self, n: int) -> "Units":
        """The first `n` >= 1 of them, or all where there are no more."""
        ends = self.ends[:n]
        return Units(
            self.at_ms[:n],
            self.user[:n],
            self.session[:n],
            self.starts[:n],
            self.stops[:n],
            self.items[: int(ends[-1])],
            ends,
            self.repeats.before(int(self.stops[:n][-1])),
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) distinct items of each unit."""
        return np.diff(self.ends, prepend=0)

    @property
    def owners(self) -> NDArray[np.int64]:
        """(T,) the unit of each target."""
        return np.repeat(np.arange(len(self)), self.sizes)


def cut(stream: Stream, *, config: ProtocolConfig) -> Units:
    """The units of a stream; for baskets, one read with `by_user`. BadStream where there is none."""
    units = _baskets(stream) if config.protocol == "basket" else _events(stream, config=config)
    if config.limit_units is not None:
        units = units.first(config.limit_units)
    if len(units) < 2:
        raise BadStream(f"{len(units)} units; a test-then-train run needs at least 2")
    return units


def sessions_of(stream: Stream, *, gap_ms: int | None) -> NDArray[np.int64]:
    """(R,) code of each row's session: its user's rows with no pause above `gap_ms`; None: all of them."""
    if gap_ms is None:
        return stream.user
    order = np.argsort(stream.user, kind="stable")
    user, ts = stream.user[order], stream.ts[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (user[1:] != user[:-1]) | (np.diff(ts) > gap_ms)
    codes = np.empty(len(order), np.int64)
    codes[order] = np.cumsum(starts) - 1
    return codes


def _baskets(stream: Stream) -> Units:
    starts_basket = np.ones(len(stream), np.bool_)
    starts_basket[1:] = (np.diff(stream.ts) != 0) | (np.diff(stream.user) != 0)
    starts = np.flatnonzero(starts_basket)
    owner = np.cumsum(starts_basket) - 1  # (R,) basket of each row
    if len(np.unique(np.stack([stream.ts[starts], stream.user[starts]]), axis=1).T) != len(starts):
        raise BadStream("the rows of a basket are not together; read the stream with by_user")
    keys = owner * (int(stream.item.max()) + 1) + stream.item
    _, first = np.unique(keys, return_index=True)
    first = np.sort(first)  # the first row of each distinct item of each basket
    return Units(
        at_ms=stream.ts[starts],
        user=stream.user[starts],
        session=stream.user[starts],
        starts=starts,
        stops=np.append(starts[1:], len(stream)),
        items=stream.item[first],
        ends=np.cumsum(np.bincount(owner[first], minlength=len(starts))),
    )


def _events(stream: Stream, *, config: ProtocolConfig) -> Units:
    session = sessions_of(stream, gap_ms=config.session_gap_ms)
    asked = np.ones(len(stream), np.bool_)
    if config.protocol == "session":
        order = np.argsort(session, kind="stable")
        asked[order[1:]] = (np.diff(session[order]) != 0) | (np.diff(stream.item[order]) != 0)
    rows = np.flatnonzero(asked)
    return Units(
        at_ms=stream.ts[rows],
        user=stream.user[rows],
        session=session[rows],
        starts=rows,
        stops=rows + 1,
        items=stream.item[rows],
        ends=np.arange(1, len(rows) + 1),
        repeats=Repeats.of(stream, rows=np.flatnonzero(~asked), session=session),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What was known just before each of n units and of each of T targets."""

    counted: NDArray[np.bool_]  # (n,) after the burn-in
    warm: NDArray[np.bool_]  # (n,) the session (for baskets and events the user) was seen before
    bought: NDArray[np.int64]  # (T,) in how many units the target's item was before
    known: NDArray[np.bool_]  # (T,) in any, or in the catalogue
    decile: NDArray[np.int64]  # (T,) of the item's popularity over the whole stream; 0 the most popular tenth

    @property
    def young(self) -> NDArray[np.bool_]:
        """(T,) known, and in at most YOUNG units before."""
        return self.known & (self.bought <= YOUNG)


YOUNG = 5


def known_before(
    units: Units, *, config: ProtocolConfig, n_items: int, first_ts: NDArray[np.int64] | None = None
) -> Known:
    """`first_ts`: (n_items,) ms when the catalogue has each item, as in `contender.StreamInfo`."""
    by = units.session if config.protocol == "session" else units.user
    warm = np.ones(len(units), np.bool_)
    warm[np.unique(by, return_index=True)[1]] = False
    order = np.argsort(units.items, kind="stable")
    in_order = units.items[order]
    starts = np.flatnonzero(np.append(True, in_order[1:] != in_order[:-1]))
    bought = np.empty(len(order), np.int64)
    bought[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    known = bought > 0
    if first_ts is not None:
        known |= first_ts[units.items] < units.at_ms[units.owners]
    totals = np.bincount(units.items, minlength=n_items)
    place = np.empty(n_items, np.int64)
    place[np.argsort(-totals, kind="stable")] = np.arange(n_items)
    sold = max(1, int((totals > 0).sum()))
    return Known(
        counted=np.arange(len(units)) >= config.burn_in * len(units),
        warm=warm,
        bought=bought,
        known=known,
        decile=np.minimum(place[units.items] * 10 // sold, 9),
    )
