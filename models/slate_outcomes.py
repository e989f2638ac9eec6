"""What became of each slate: recommendations joined with impressions and outcomes, in event time.

A slate stays open for a window from when it was made. What the storefront says of it meanwhile (shown,
clicked, put into the cart, bought) is noted; at the window's end it is closed and handed on, once, with its
reward.

The topics are read side by side, so an outcome may be read before the recommendation that it answers: it
waits for it, about a window.
"""

import heapq
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from events.columns import Kind
from models.errors import InputError, SnapshotError
from models.slate_records import Counts, Joined, OutcomesConfig, Recommended

_FORMAT = 1
_MARKS = {Kind.IMPRESSION: 1, Kind.CLICK: 2, Kind.CART: 4, Kind.PURCHASE: 8}  # bits; part of saved state
_ITEMS_EACH = 10  # items of an impression or outcome that waits for its slate, on average, at most
_TAKEN_BACK = {Kind.UNCART: Kind.CART, Kind.REFUND: Kind.PURCHASE}


@dataclass(slots=True)
class _Open:
    recommended: Recommended
    marks: list[int] = field(default_factory=list)  # (k,) sums of _MARKS


@dataclass(frozen=True, slots=True)
class _Said:
    items: tuple[int, ...]  # empty: the whole slate
    kind: int
    at_ms: int


@dataclass(slots=True)
class _Waiting:
    """What was said of a slate that is not known yet, and the event time when it was first spoken of."""

    since_ms: int
    said: list[_Said] = field(default_factory=list)


class SlateOutcomes:
    """The joiner. A pure function of the calls made and their order: it has no clock and starts nothing.

    At most `capacity` slates are open, as many ids of closed ones are remembered, and as many impressions and
    outcomes wait for their slate; beyond that the oldest give way, and are counted.

    >>> outcomes = SlateOutcomes(OutcomesConfig(window_ms=1_000))
    >>> slate = Recommended("r1", user=5, at_ms=0, context=0, arm=1, arm_propensity=0.4, items=(7, 8),
    ...                     propensities=(1.0, 0.5))
    >>> outcomes.recommended(slate)
    >>> outcomes.happened("r1", items=(8,), kind=Kind.CLICK, at_ms=400)
    >>> [(j.shown.tolist(), j.clicked.tolist(), j.reward) for j in outcomes.advance(1_000)]
    [([True, True], [False, True], 0.2)]
    """

    def __init__(self, config: OutcomesConfig) -> None:
        self.config = config
        self.counts = Counts()
        self._now_ms = 0
        self._open: dict[str, _Open] = {}
        self._order: list[tuple[int, int, str]] = []  # heap of (at_ms, arrival, rec_id), one per open slate
        self._arrivals = 0
        self._closed: OrderedDict[str, None] = OrderedDict()  # rec_ids, oldest first
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()  # by rec_id, first come first
        self._n_waiting = 0
        self._n_said = 0  # items of what waits

    def __len__(self) -> int:
        """Open slates."""
        return len(self._open)

    @property
    def now_ms(self) -> int:
        """Event time up to which slates are closed."""
        return self._now_ms

    def recommended(self, slate: Recommended) -> None:
        """Open a slate. A repeated rec_id and one whose window has ended change nothing, and are counted.

        InputError where it has not as many propensities as items, or an item twice.
        """
        real = [item for item in slate.items if item]
        if len(slate.propensities) != len(slate.items) or len(set(real)) != len(real):
            raise InputError(
                f"slate {slate.rec_id} has items {slate.items} and propensities {slate.propensities}; "
                "as many of each and no item twice are needed"
            )
        if slate.rec_id in self._open or slate.rec_id in self._closed:
            self.counts.repeated += 1
            return
        if slate.at_ms + self.config.window_ms <= self._now_ms:
            self.counts.late_slates += 1
            return
        entry = _Open(slate, [0] * len(slate.items))
        self._open[slate.rec_id] = entry
        heapq.heappush(self._order, (slate.at_ms, self._arrivals, slate.rec_id))
        self._arrivals += 1
        for said in self._no_longer_waiting(slate.rec_id):
            self._note(entry, items=said.items, kind=Kind(said.kind), at_ms=said.at_ms)
        if len(self._open) > self.config.capacity:
            self._remember(heapq.heappop(self._order)[2])
            self.counts.evicted += 1

    def happened(self, rec_id: str, *, items: tuple[int, ...], kind: Kind, at_ms: int) -> None:
        """Note that (n,) `items` of a slate were shown (IMPRESSION), clicked, put into the cart or bought.

        UNCART and REFUND take the cart and the purchase back. An impression without items means the whole
        slate. An item with an outcome was shown; where no impression ever comes, an outcome means that the
        whole slate was. InputError for Kind.PAD.
        """
        if kind not in _MARKS and kind not in _TAKEN_BACK:
            raise InputError(f"kind is {kind!r}; it must be one of {[*_MARKS, *_TAKEN_BACK]}")
        entry = self._open.get(rec_id)
        if entry is not None:
            self._note(entry, items=items, kind=kind, at_ms=at_ms)
        elif rec_id in self._closed:
            self.counts.late += 1
        else:
            group = self._waiting.setdefault(rec_id, _Waiting(max(at_ms, self._now_ms)))
            group.said.append(_Said(items, int(kind), at_ms))
            self._n_waiting += 1
            self._n_said += len(items)
            while self._n_waiting > self.config.capacity or self._n_said > _ITEMS_EACH * self.config.capacity:
                self.counts.evicted += len(self._no_longer_waiting(next(iter(self._waiting))))

    def advance(self, now_ms: int) -> list[Joined]:
        """Close every slate whose window has ended by `now_ms`, oldest first; those never shown are left out.

        Event time does not run back: an earlier `now_ms` than before closes nothing.
        """
        self._now_ms = max(self._now_ms, now_ms)
        ended = self._now_ms - self.config.window_ms
        closed: list[Joined] = []
        while self._order and self._order[0][0] <= ended:
            rec_id = heapq.heappop(self._order)[2]
            joined = self._joined(self._remember(rec_id))
            if joined is None:
                self.counts.never_shown += 1
            else:
                self.counts.joined += 1
                closed.append(joined)
        while self._waiting:
            rec_id, group = next(iter(self._waiting.items()))
            if group.since_ms > ended:
                break
            self.counts.unknown += len(self._no_longer_waiting(rec_id))
        return closed

    def state(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        return {
            "format": _FORMAT,
            "now_ms": self._now_ms,
            "arrivals": self._arrivals,
            "counts": asdict(self.counts),
            "open": [
                {"arrival": arrival, "marks": self._open[rec_id].marks}
                | asdict(self._open[rec_id].recommended)
                for _, arrival, rec_id in sorted(self._order)
            ],
            "closed": list(self._closed),
            "waiting": [[rec_id, asdict(group)] for rec_id, group in self._waiting.items()],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], *, config: OutcomesConfig) -> "SlateOutcomes":
        """The joiner that gave `state`. SnapshotError where it is damaged or of another format."""
        if state.get("format") != _FORMAT:
            raise SnapshotError(f"saved outcomes have format {state.get('format')!r}; {_FORMAT} is read")
        outcomes = cls(config)
        try:
            outcomes._now_ms, outcomes._arrivals = int(state["now_ms"]), int(state["arrivals"])
            outcomes.counts = Counts(**state["counts"])
            outcomes._closed = OrderedDict.fromkeys(state["closed"])
            for saved in state["open"]:
                fields = dict(saved)
                arrival, marks = fields.pop("arrival"), fields.pop("marks")
                fields["items"], fields["propensities"] = (
                    tuple(fields["items"]),
                    tuple(fields["propensities"]),
                )
                slate = Recommended(**fields)
                outcomes._open[slate.rec_id] = _Open(slate, list(marks))
                heapq.heappush(outcomes._order, (slate.at_ms, arrival, slate.rec_id))
            for rec_id, group in state["waiting"]:
                said = [_Said(tuple(s["items"]), s["kind"], s["at_ms"]) for s in group["said"]]
                outcomes._waiting[rec_id] = _Waiting(group["since_ms"], said)
                outcomes._n_waiting += len(said)
                outcomes._n_said += sum(len(one.items) for one in said)
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"saved outcomes are damaged: {error!r}") from error
        return outcomes

    def _note(self, entry: _Open, *, items: tuple[int, ...], kind: Kind, at_ms: int) -> None:
        slate = entry.recommended
        if at_ms >= slate.at_ms + self.config.window_ms:
            self.counts.late += 1
            return
        whole = kind == Kind.IMPRESSION and not items
        for item in (i for i in slate.items if i) if whole else items:
            if item == 0 or item not in slate.items:
                self.counts.mismatched += 1
            elif kind in _TAKEN_BACK:
                entry.marks[slate.items.index(item)] &= ~_MARKS[_TAKEN_BACK[kind]]
            else:
                entry.marks[slate.items.index(item)] |= _MARKS[kind]

    def _no_longer_waiting(self, rec_id: str) -> list[_Said]:
        group = self._waiting.pop(rec_id, None)
        if group is None:
            return []
        self._n_waiting -= len(group.said)
        self._n_said -= sum(len(said.items) for said in group.said)
        return group.said

    def _remember(self, rec_id: str) -> _Open:
        """Close `rec_id`, whose place in the heap is already gone."""
        self._closed[rec_id] = None
        if len(self._closed) > self.config.capacity:
            self._closed.popitem(last=False)
        return self._open.pop(rec_id)

    def _joined(self, entry: _Open) -> Joined | None:
        marks = np.array(entry.marks, dtype=np.int64)
        if not marks.any():
            return None
        config = self.config
        seen, clicked, carted, purchased = ((marks & _MARKS[kind]) > 0 for kind in _MARKS)
        filled = np.array(entry.recommended.items) != 0
        shown = (marks > 0) if seen.any() else filled
        worth = np.maximum.reduce(
            [config.click * clicked, config.cart * carted, config.purchase * purchased]
        ).sum()
        return Joined(
            recommended=entry.recommended,
            shown=shown,
            clicked=clicked,
            carted=carted,
            purchased=purchased,
            reward=float(min(1.0, worth)),
        )
