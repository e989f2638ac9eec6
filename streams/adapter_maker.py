"""Makes the adapters' records: which weights serve, what they are called, and what became of the candidate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from events.clock import Clock
from models import adapters
from models.adapter_record import UNTRAINED, AdapterRecord
from models.learner import Learner
from models.promotion import Decision, Verdict
from models.state import under_prefix
from streams.adapter_topic import SERVING_HEADER, slot_key
from streams.logs import get_logger
from streams.metrics import Metrics
from streams.publisher import Record

log = get_logger("adapters")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the learner is when an adapter is due."""

    steps: int
    units: int
    offsets: Mapping[tuple[str, int], int]  # next offset by topic and partition
    prequential: Mapping[str, Mapping[str, float]]
    bandit: Mapping[str, Any]


class AdapterMaker:
    """Numbers and names adapters. Its state is a function of the log, as the learner's."""

    def __init__(
        self, learner: Learner, *, topic: str, kept: int, config: str, metrics: Metrics, clock: Clock
    ) -> None:
        """`kept`: how many stay on a compacted topic; `config`: hash of what adapters depend on."""
        self._learner = learner
        self._topic = topic
        self._kept = kept
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self.version = 0
        self._parent = UNTRAINED
        self._last: tuple[int, AdapterRecord] | None = (
            None  # steps, and what the learner's weights were called then
        )
        self._known: dict[int, AdapterRecord] = {}  # by version: those that the guard may go back to

    def make(self, progress: Progress) -> Record:
        """The next adapter, with the weights that are to serve."""
        self.version += 1
        candidate = self._record(progress)
        verdict = self._learner.promote(stamp=self.version)
        self._tell(verdict, candidate)
        record, weights = candidate, None
        guard = self._learner.guard
        if guard is not None and not verdict.candidate_serves:
            record = self._known.get(guard.stamp, self._untrained())
            weights = under_prefix("ranker", guard.anchor)
        learnt = record if verdict.restarts else candidate
        self._parent, self._last = learnt.name, (progress.steps, learnt)
        if guard is not None:
            known = {**self._known, self.version: candidate}
            self._known = {stamp: known[stamp] for stamp in guard.stamps if stamp in known}
        serving = {
            "version": self.version,
            "steps": progress.steps,
            "units": progress.units,
            "deep_pays": self._learner.prequential.gate.pays(),
            "bandit": progress.bandit,
            "remembered": self._learner.remembered,
            "prequential": progress.prequential,
            "made_at": self._clock.now_ms(),
            "record": record.to_json(),
            "promotion": {
                "decision": verdict.decision.value,
                "why": verdict.why,
                "candidate": candidate.name,
            },
        }
        value = adapters.pack(self._learner.ranker, version=str(self.version), weights=weights)
        headers = ((SERVING_HEADER, json.dumps(serving).encode()),)
        return Record(self._topic, slot_key(self.version, kept=self._kept), value, headers=headers)

    def save(self, folder: Path, progress: Progress) -> None:
        """Keep the learner's weights as the folder `folder` that peft reads, unless it is there; says in the log
        when the disk does not take it."""
        if folder.exists():
            return
        steps, last = self._last or (-1, None)
        record = last if last is not None and steps == progress.steps else self._record(progress)
        try:
            adapters.save_adapter(
                self._learner.ranker, folder, version=str(self.version), record=record.to_json()
            )
        except (OSError, SafetensorError) as error:
            self._metrics.disk_failures.labels(what="adapter").inc()
            log.error("adapter folder %s was not saved: %s", folder, error)

    def _record(self, progress: Progress) -> AdapterRecord:
        return AdapterRecord(
            version=self.version,
            steps=progress.steps,
            units=progress.units,
            offsets=tuple((*place, offset) for place, offset in sorted(progress.offsets.items())),
            parent=self._parent,
            config=self._config,
            metric=progress.prequential["headwater"],
        )

    def _untrained(self) -> AdapterRecord:
        return AdapterRecord(0, 0, 0, (), UNTRAINED, self._config, {})

    def _tell(self, verdict: Verdict, candidate: AdapterRecord) -> None:
        self._metrics.promotions.labels(decision=verdict.decision.value).inc()
        self._metrics.promotion_holding.set(not verdict.candidate_serves)
        if verdict.decision in (Decision.PROMOTED, Decision.CONFIRMED):
            return
        say = log.info if verdict.candidate_serves else log.warning
        say("adapter %s: %s, %s", candidate.name, verdict.decision.value, verdict.why)

    def state(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        known = {str(stamp): record.to_json() for stamp, record in self._known.items()}
        return {"version": self.version, "parent": self._parent, "known": known}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self.version, self._parent = state["version"], state["parent"]
        self._known = {int(stamp): AdapterRecord.from_json(told) for stamp, told in state["known"].items()}
