"""What a ledger finds: events lost, counted twice, or standing for something else than the log says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Place(NamedTuple):
    """Where a record lies in the source log."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Wrong(StrEnum):
    LOST = "lost"
    DUPLICATED = "duplicated"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `place`: the first record of the source log that it is about; `history`: what is
    known of that record's way, for whoever looks for the cause. `count`: of how many events it tells."""

    wrong: Wrong
    place: Place
    what: str
    history: tuple[str, ...] = ()
    count: int = 1

    def __str__(self) -> str:
        lines = [f"{self.wrong} {self.place}: {self.what}", *(f"  {line}" for line in self.history)]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, and how much was looked at: a ledger that looked at nothing proves nothing."""

    findings: tuple[Finding, ...] = ()
    checked: dict[str, int] = field(default_factory=dict)

    def count(self, wrong: Wrong) -> int:
        """Events found to be so."""
        return sum(finding.count for finding in self.findings if finding.wrong is wrong)

    @property
    def clean(self) -> bool:
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding about the lowest offset, of the first topic and partition of those that have it."""
        return min(self.findings, key=lambda one: (one.place.offset, one.place), default=None)

    def line(self) -> str:
        """The three numbers.

        >>> Verdict().line()
        'lost / duplicated / diverged = 0 / 0 / 0'
        """
        numbers = " / ".join(str(self.count(wrong)) for wrong in Wrong)
        return f"lost / duplicated / diverged = {numbers}"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdicts of several ledgers, or several runs, as one."""
    given: Sequence[Verdict] = list(verdicts)
    checked: dict[str, int] = {}
    for verdict in given:
        for name, count in verdict.checked.items():
            checked[name] = checked.get(name, 0) + count
    return Verdict(tuple(finding for verdict in given for finding in verdict.findings), checked)
