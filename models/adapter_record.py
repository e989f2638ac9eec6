"""What an adapter says of itself: which part of the log it learnt, from what it came, how it was made."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from models.errors import AdapterError

UNTRAINED = "untrained"  # the parent of the first


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """An adapter's identity. Its name follows from offsets, parent and config alone: the same log in the same
    order, learnt with the same settings, makes the same names.

    >>> one = AdapterRecord(7, 56, 1_792, (("clicks", 0, 31),), UNTRAINED, "c0ffee", {"recall@20": 0.1})
    >>> one.name, AdapterRecord.from_json(one.to_json()) == one
    ('000007-45f5a32be267', True)
    """

    version: int  # of its publication
    steps: int  # training steps
    units: int  # outcomes predicted
    offsets: tuple[tuple[str, int, int], ...]  # topic, partition, next offset: what lies below is included
    parent: str  # name of the adapter it was trained on from
    config: str  # hash of everything that its making depends on beside the log
    metric: Mapping[str, float]  # prequential, of the learner when it was made

    @property
    def name(self) -> str:
        made_from = json.dumps([list(map(list, self.offsets)), self.parent, self.config])
        return f"{self.version:06d}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the name among them."""
        return {
            "name": self.name,
            "version": self.version,
            "steps": self.steps,
            "units": self.units,
            "offsets": [list(place) for place in self.offsets],
            "parent": self.parent,
            "config": self.config,
            "metric": dict(self.metric),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "AdapterRecord":
        """What `to_json` gave; AdapterError when it is damaged or not named for what it holds."""
        try:
            record = cls(
                version=int(told["version"]),
                steps=int(told["steps"]),
                units=int(told["units"]),
                offsets=tuple((str(topic), int(part), int(next_)) for topic, part, next_ in told["offsets"]),
                parent=str(told["parent"]),
                config=str(told["config"]),
                metric={str(name): float(value) for name, value in told["metric"].items()},
            )
            name = told["name"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AdapterError(f"an adapter's record is damaged: {error!r}") from error
        if record.name != name:
            raise AdapterError(f"an adapter is called {name!r}, and by what it holds it is {record.name!r}")
        return record


def config_hash(parts: Sequence[object]) -> str:
    """16 hex digits that stand for these configurations: frozen dataclasses and plain values.

    >>> config_hash(["features", 8]) == config_hash(["features", 8]) != config_hash(["features", 9])
    True
    """
    plain = [asdict(part) if is_dataclass(part) and not isinstance(part, type) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
