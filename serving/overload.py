"""What a batch gives up when it cannot have everything in time: the transformer first, learning never."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OverloadConfig:
    """The time a batch may take, and the ages of waiting clicks at which parts of the ranker are given up."""

    budget_ms: float = 20.0  # of scoring, for the users of one batch
    wide_only_ms: float = 50.0  # oldest click waiting longer than this: no transformer
    fewer_candidates_ms: float = 100.0  # longer than this: half the candidates as well

    def __post_init__(self) -> None:
        if not self.budget_ms > 0:
            raise ValueError(f"budget_ms is {self.budget_ms}; it must be above 0")
        if not 0 < self.wide_only_ms <= self.fewer_candidates_ms:
            raise ValueError(
                f"wide_only_ms is {self.wide_only_ms} and fewer_candidates_ms {self.fewer_candidates_ms}; "
                "both must be above 0, the first not above the second"
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """How one batch is scored: the first `deep_users` with the transformer, the rest by the wide part alone."""

    deep_users: int
    candidates_share: float  # of the candidates, best first; 1.0 keeps all

    def degraded(self, row: int) -> str:
        """What user `row` of the batch went without: "", "wide" or "fewer-candidates"."""
        if self.candidates_share < 1.0:
            return "fewer-candidates"
        return "" if row < self.deep_users else "wide"


class Overload:
    """Plans batches from the costs it has seen: an exponential mean of the milliseconds a user takes."""

    def __init__(self, config: OverloadConfig, *, wide_ms: float = 0.7, deep_ms: float = 3.0) -> None:
        self._config = config
        self._wide_ms = wide_ms
        self._deep_ms = deep_ms

    def plan(self, *, users: int, oldest_ms: float, deep: bool) -> Plan:
        """The plan for a batch of `users`, the oldest of whose clicks has waited `oldest_ms`.

        `deep` False (the transformer is off, or does not pay) is a choice, not a degradation: every user then
        counts as fully served.
        """
        config = self._config
        share = 0.5 if oldest_ms > config.fewer_candidates_ms else 1.0
        if not deep:
            return Plan(deep_users=users, candidates_share=share)
        if oldest_ms > config.wide_only_ms:
            return Plan(deep_users=0, candidates_share=share)
        left = config.budget_ms - users * self._wide_ms
        return Plan(deep_users=max(0, min(users, int(left / self._deep_ms))), candidates_share=share)

    def observe(self, *, users: int, wide_ms: float, deep_users: int, deep_ms: float) -> None:
        """Learn what a batch took: everything but the transformer, and the transformer, in milliseconds."""
        if users:
            self._wide_ms += 0.05 * (wide_ms / users - self._wide_ms)
        if deep_users:
            self._deep_ms += 0.05 * (deep_ms / deep_users - self._deep_ms)
