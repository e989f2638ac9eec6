"""Which events got their recommendation, and when: the books of a replay.

An event at an offset of a topic-partition is answered by the first recommendation of its user whose
`seen_offsets` reach that offset. Nothing here knows Kafka or a clock: one thread tells it what happened, in
the order in which it learnt of it, and a delivery report may well come after the answer it belongs to.
"""

from dataclasses import dataclass, field

from events.ids import stable_hash
from load.latency import LatencyLog

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Counts:
    """What was counted, in events unless it says records."""

    sent: int = 0
    awaited: int = 0  # of the sent: those that must be answered
    delivered: int = 0
    undelivered: int = 0  # refused by the broker
    answered: int = 0
    lost: int = 0  # awaited, delivered and without an answer
    duplicates_sent: int = 0
    poison_sent: int = 0
    items_sent: int = 0  # records
    recommendations: int = 0  # records
    duplicate_recommendations: int = 0  # records whose rec_id came before
    unreadable_recommendations: int = 0  # records
    degraded_recommendations: int = 0  # records
    dead_letters: int = 0  # records


@dataclass(slots=True)
class _Shopper:
    """A user with events that are not answered yet."""

    unconfirmed: int = 0  # sent, and no delivery report yet
    waiting: list[tuple[str, int, int]] = field(default_factory=list)  # (position, offset, due_ns)
    early: list[tuple[int, dict[str, int]]] = field(default_factory=list)  # (arrived_ns, seen_offsets)


class Ledger:
    """The books of one run. Times are nanoseconds from the start of the run.

    Bounded: an event that waits longer than `give_up_s` is lost, and the last `remembered` recommendation ids
    are known. Not thread-safe.
    """

    def __init__(self, *, give_up_s: float = 300.0, remembered: int = 1_000_000) -> None:
        self.counts = Counts()
        self.latencies = LatencyLog()
        self._give_up_ns = round(give_up_s * _NS_PER_S)
        self._remembered = remembered
        self._shoppers: dict[str, _Shopper] = {}
        self._rec_ids: dict[int, None] = {}
        self._next_sweep_ns = self._give_up_ns
        self._awaited_undelivered = 0

    @property
    def waiting(self) -> int:
        """Awaited events that are neither answered nor given up."""
        counts = self.counts
        return counts.awaited - counts.answered - counts.lost - self._awaited_undelivered

    def sent(self, user: str, *, due_ns: int, awaited: bool) -> None:
        """An event was handed to the client library."""
        self.counts.sent += 1
        if awaited:
            self.counts.awaited += 1
            self.latencies.due(due_ns)
            self._shoppers.setdefault(user, _Shopper()).unconfirmed += 1

    def delivered(self, user: str, *, due_ns: int, awaited: bool, position: str, offset: int) -> None:
        """The broker has the event: at `offset` of `position`, which is "topic-partition"."""
        self.counts.delivered += 1
        if not awaited:
            return
        shopper = self._shoppers[user]
        shopper.unconfirmed -= 1
        for arrived_ns, seen in shopper.early:
            if seen.get(position, -1) >= offset:
                self._answer(due_ns, arrived_ns)
                break
        else:
            shopper.waiting.append((position, offset, due_ns))
        self._tidy(user, shopper)

    def undelivered(self, user: str, *, awaited: bool) -> None:
        """The broker refused the event, or did not answer for too long."""
        self.counts.undelivered += 1
        if awaited:
            self._awaited_undelivered += 1
            shopper = self._shoppers[user]
            shopper.unconfirmed -= 1
            self._tidy(user, shopper)

    def recommended(self, user: str, *, rec_id: str, seen_offsets: dict[str, int], arrived_ns: int) -> None:
        """A recommendation was read from the topic."""
        self.counts.recommendations += 1
        if self._seen_before(rec_id):
            self.counts.duplicate_recommendations += 1
        shopper = self._shoppers.get(user)
        if shopper is None:
            return
        still_waiting = []
        for position, offset, due_ns in shopper.waiting:
            if seen_offsets.get(position, -1) >= offset:
                self._answer(due_ns, arrived_ns)
            else:
                still_waiting.append((position, offset, due_ns))
        shopper.waiting = still_waiting
        if shopper.unconfirmed:
            shopper.early.append((arrived_ns, seen_offsets))
        self._tidy(user, shopper)

    def sweep(self, *, now_ns: int) -> None:
        """Gives up the events that have waited longer than `give_up_s`. Cheap unless a sweep is due."""
        if now_ns >= self._next_sweep_ns:
            self._next_sweep_ns = now_ns + self._give_up_ns // 10 + 1
            self._give_up(before_ns=now_ns - self._give_up_ns)

    def close(self) -> None:
        """Everything that is still waiting is lost."""
        self._give_up(before_ns=None)

    def _give_up(self, *, before_ns: int | None) -> None:
        for user, shopper in list(self._shoppers.items()):
            keep = [] if before_ns is None else [wait for wait in shopper.waiting if wait[2] >= before_ns]
            self.counts.lost += len(shopper.waiting) - len(keep)
            shopper.waiting = keep
            self._tidy(user, shopper)

    def _answer(self, due_ns: int, arrived_ns: int) -> None:
        self.counts.answered += 1
        self.latencies.answered(due_ns=due_ns, answered_ns=arrived_ns)

    def _tidy(self, user: str, shopper: _Shopper) -> None:
        if not shopper.unconfirmed:
            shopper.early.clear()
            if not shopper.waiting:
                self._shoppers.pop(user, None)

    def _seen_before(self, rec_id: str) -> bool:
        key = stable_hash(rec_id)
        if key in self._rec_ids:
            return True
        self._rec_ids[key] = None
        if len(self._rec_ids) > self._remembered:
            del self._rec_ids[next(iter(self._rec_ids))]
        return False
