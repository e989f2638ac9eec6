"""What is done to which process, and when: a schedule that a seed decides wholly."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from load.errors import BadLoadConfig


class FaultKind(StrEnum):
    """What can happen; each kind has recovery figures of its own."""

    RECOMMENDER = "kill -9 recommender"
    LEARNER = "kill -9 learner"
    ENCODER = "kill -9 encoder"
    TERM_RECOMMENDER = "SIGTERM recommender"
    TERM_LEARNER = "SIGTERM learner"
    TERM_ENCODER = "SIGTERM encoder"
    BROKER = "kill -9 broker"  # and started again on its data; only where it keeps any

    @property
    def role(self) -> str:
        """Who is hit: recommender, learner, encoder or broker."""
        return self.value.rpartition(" ")[2]

    @property
    def gentle(self) -> bool:
        """Whether the process may finish what it has in hand."""
        return self.value.startswith("SIGTERM")


WEIGHTS: dict[FaultKind, float] = {
    FaultKind.RECOMMENDER: 5,
    FaultKind.LEARNER: 4,
    FaultKind.ENCODER: 2,
    FaultKind.TERM_RECOMMENDER: 1,
    FaultKind.TERM_LEARNER: 0.5,
    FaultKind.TERM_ENCODER: 0.5,
}
"""How often each kind comes, relative to the others, on a broker that must not be killed."""

BROKER_WEIGHT = 3.0

_BURST_SHARE = 0.5
_HURRY_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done.

    after_s: the wait since what came before it was over. burst: so many records are sent at once just before,
    and `lead_s` later the process is hit in the middle of them; 0: it is hit between batches, as likely as not.
    hurry: the next fault comes before this one's process has recovered. victim: 0 to 1, which of several
    processes of the role.
    """

    kind: FaultKind
    after_s: float
    burst: int
    lead_s: float
    hurry: bool
    victim: float


def schedule(
    n: int, *, seed: int, kinds: Sequence[FaultKind] = tuple(WEIGHTS), calm_s: float = 1.0
) -> list[Fault]:
    """`n` faults of these kinds, `calm_s` on average after the recovery from the one before.

    Every kind comes at least once where `n` allows it, the first ones in a random order; the last fault is
    always recovered from. BadLoadConfig without a fault or a kind.

    >>> [fault.kind.value for fault in schedule(2, seed=1, kinds=[FaultKind.LEARNER])]
    ['kill -9 learner', 'kill -9 learner']
    """
    if n < 1 or not kinds:
        raise BadLoadConfig(f"a schedule of {n} faults of {len(kinds)} kinds; expected at least one of each")
    rng = np.random.default_rng(seed)
    weights = np.array([WEIGHTS.get(kind, BROKER_WEIGHT) for kind in kinds])
    first = rng.permutation(len(kinds)).tolist()[:n]
    rest = rng.choice(len(kinds), size=n - len(first), p=weights / weights.sum()).tolist()
    drawn = [*first, *rest]
    rng.shuffle(drawn)
    return [
        Fault(
            kind=kinds[at],
            after_s=float(rng.uniform(0, 2 * calm_s)),
            burst=int(rng.integers(20, 80)) if rng.random() < _BURST_SHARE else 0,
            lead_s=float(rng.exponential(0.03)),
            hurry=bool(rng.random() < _HURRY_SHARE) and number < n - 1,
            victim=float(rng.random()),
        )
        for number, at in enumerate(drawn)
    ]
