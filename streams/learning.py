"""The learner agent's work: every event in one written-down order, training steps, adapters, snapshots."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from events.clock import Clock
from events.pseudonyms import Pseudonyms
from events.topics import USER_TOPICS, Topic
from index.sources.influence import Verdict
from models.bandit import DiversityBandit
from models.errors import SnapshotError, SnapshotNotSaved
from models.slate_outcomes import SlateOutcomes
from models.snapshots import extra_of, restore_snapshot, save_snapshot, snapshots
from serving.learning import Learning
from streams.adapter_maker import AdapterMaker, Progress
from streams.anomalies import tell_anomalies
from streams.decoding import decode_records
from streams.following import Following
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics
from streams.publisher import Record
from streams.sequencer import Journal, Sequencer
from streams.slate_lessons import SlateLessons

log = get_logger("learner")

JOURNAL = "journal.jsonl"
MEMORY = "memory"  # folder of a snapshot: users' states and sources


@dataclass(frozen=True, slots=True)
class LearningAgentConfig:
    """How often what was learnt leaves the process, and where it is kept."""

    topics: Mapping[str, Topic]  # full topic name -> what it carries
    adapters_topic: str
    folder: Path
    publish_every: int = 8  # training steps
    snapshot_every: int | None = 64  # None: never
    snapshots_kept: int = 3
    adapters_kept: int = 16  # on the topic, when it is compacted
    journal_bytes: int = 64_000_000  # of the journal of the order taken, where no snapshot needs more
    config: str = ""  # hash of everything that adapters depend on beside the log


class LearningAgent:
    """Takes records of all partitions, learns from them in the sequencer's order, says what to publish.

    Its state after a log is a function of its snapshot, the log and the journal of the order taken; `offsets`
    go with the snapshot, so a restart reads on exactly behind what the snapshot has learnt.
    """

    def __init__(
        self,
        config: LearningAgentConfig,
        *,
        learning: Learning,
        following: Following,
        bandit: DiversityBandit,
        outcomes: SlateOutcomes,
        metrics: Metrics,
        clock: Clock,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._config = config
        self._learning = learning
        self._following = following
        self._lessons = SlateLessons(bandit, outcomes, metrics=metrics)
        self._metrics = metrics
        self._clock = clock
        self._pseudonyms = pseudonyms
        self._maker = AdapterMaker(
            learning.learner,
            topic=config.adapters_topic,
            kept=config.adapters_kept,
            config=config.config,
            metrics=metrics,
            clock=clock,
        )
        self.offsets: dict[tuple[str, int], int] = {}
        self._steps = 0
        self._restore()
        self._counted_units = learning.units
        self._counted_drifts = learning.learner.drift.detections if learning.learner.drift else 0
        self._tell_of_drift()
        self._sequencer = Sequencer(Journal(config.folder / JOURNAL), start=self.offsets)

    @property
    def config_hash(self) -> str:
        """Of everything that adapters depend on beside the log."""
        return self._config.config

    @property
    def version(self) -> int:
        """Of the last adapter."""
        return self._maker.version

    def process(self, records: Sequence[LogRecord]) -> list[Record]:
        """Take records in partition order; return the adapters that are due."""
        return [adapter for made in self.steps(records) for adapter in made]

    def steps(self, records: Sequence[LogRecord]) -> Iterator[list[Record]]:
        """As `process`, one training step at a time: the adapters that are due after each.

        After a restart a whole backlog may wait for one record of the journal's order, and come with it: whoever
        has other work to do, such as being told to stop, does it in between. Exhaust it before the next call.
        """
        for record in records:
            self._sequencer.offer(record)
        for record in self._sequencer.ready():
            self._take(record)
            self.offsets[record.topic, record.partition] = record.offset + 1
            if self._learning.due:
                yield self._step()

    def _take(self, record: LogRecord) -> None:
        match self._config.topics[record.topic]:
            case Topic.RECOMMENDATIONS:
                self._lessons.recommended(record)
            case Topic.ITEM_VECTORS:
                self._following.handle([record])
            case topic if topic in USER_TOPICS:
                arrivals = decode_records(
                    [record],
                    topics=self._config.topics,
                    now_ms=record.timestamp_ms,
                    pseudonyms=self._pseudonyms,
                )
                self._metrics.events.labels(topic=record.topic).inc(len(arrivals.events))
                verdicts = self._learning.take(arrivals.events)
                tell_anomalies(arrivals.events, verdicts, metrics=self._metrics)
                for at in np.flatnonzero(verdicts == Verdict.COUNTS).tolist():
                    self._lessons.happened(arrivals.events[at], at_ms=record.timestamp_ms)
            case topic:
                raise ValueError(f"the learner does not read {topic}")
        self._lessons.advance(record.timestamp_ms)

    def _step(self) -> list[Record]:
        self._metrics.prequential_units.inc(self._learning.units - self._counted_units)
        self._counted_units = self._learning.units
        report = self._learning.train()
        self._steps += 1
        self._counted_drifts = self._explore()
        self._metrics.learner_steps.labels(result="guarded" if report.skipped else "taken").inc()
        if report.trained_units and not report.skipped:
            self._metrics.learner_loss.labels(part="wide").set(report.loss)
        if report.deep_loss is not None:
            self._metrics.learner_loss.labels(part="deep").set(report.deep_loss)
        written = self._write_order()
        published = [self._adapter()] if self._steps % self._config.publish_every == 0 else []
        every = self._config.snapshot_every
        if every is not None and self._steps % every == 0 and written:
            self._try_snapshot()
        return published if written else []

    def _write_order(self) -> bool:
        """Whether the order taken is on disk. While it is not, nothing is published: after a crash the learner
        might take another order, and one name would stand for two adapters."""
        try:
            self._sequencer.cut()
        except OSError as error:
            self._metrics.disk_failures.labels(what="journal").inc()
            log.error("the journal cannot be written, adapters wait: %s", error)
            return False
        return True

    def _explore(self) -> int:
        """Hand the response to drift on to the bandit, whose state goes out with the adapters."""
        learner = self._learning.learner
        self._lessons.bandit.explore(learner.exploration)
        self._tell_of_drift()
        drifts = learner.drift.detections if learner.drift else 0
        self._metrics.drifts.inc(drifts - self._counted_drifts)
        return drifts

    def _tell_of_drift(self) -> None:
        learner = self._learning.learner
        self._metrics.exploration.set(learner.exploration)
        self._metrics.remembered.set(learner.remembered or 0)

    def _progress(self) -> Progress:
        return Progress(
            steps=self._steps,
            units=self._learning.units,
            offsets=self.offsets,
            prequential=self._learning.report(),
            bandit=self._lessons.bandit.state(),
        )

    def _adapter(self) -> Record:
        progress = self._progress()
        made = self._maker.make(progress)
        for ranker, measures in progress.prequential.items():
            for measure, value in measures.items():
                self._metrics.prequential.labels(ranker=ranker, measure=measure).set(value)
        self._metrics.deep_gate.set(self._learning.learner.prequential.gate.pays())
        self._metrics.model_version.set(self.version)
        self._metrics.adapters_published.inc()
        return made

    def _try_snapshot(self) -> None:
        """Take a snapshot, or say why not and go on: the journal then reaches back to the one before."""
        try:
            self.snapshot()
        except SnapshotNotSaved as error:
            self._metrics.disk_failures.labels(what="snapshot").inc()
            log.error("%s", error)
        except (OSError, SnapshotError) as error:
            self._metrics.disk_failures.labels(what="tidying").inc()
            log.error("old snapshots or the journal's beginning could not be removed: %s", error)

    def snapshot(self) -> Path:
        """Save everything, offsets included; call it between steps only, when nothing waits for one.

        SnapshotNotSaved, and what there was before stays, when the disk does not take it.
        """
        extra: dict[str, Any] = {
            "offsets": [[*place, offset] for place, offset in sorted(self.offsets.items())],
            "adapters": self._maker.state(),
            "steps": self._steps,
            **self._lessons.state(),
        }
        path = save_snapshot(
            self._learning.learner,
            self._config.folder,
            extra=extra,
            config=self._config.config,
            keep=self._config.snapshots_kept,
            also=lambda folder: self._learning.save(folder / MEMORY),
        )
        self._metrics.snapshot_unixtime.set(self._clock.now_ms() / 1000)
        log.info("snapshot %s after %d steps", path.name, self._steps)
        self._save_adapter()
        oldest = _offsets(extra_of(snapshots(self._config.folder)[0]))
        self._sequencer.snapshotted(oldest=oldest, keep_bytes=self._config.journal_bytes)
        return path

    def _save_adapter(self) -> None:
        """Keep the weights as a folder that peft reads, beside those of the last snapshots."""
        folder = self._config.folder / "adapters"
        self._maker.save(folder / f"step-{self._steps:09d}", self._progress())
        for old in sorted(folder.glob("step-*"))[: -self._config.snapshots_kept]:
            shutil.rmtree(old)

    def _restore(self) -> None:
        restored = restore_snapshot(self._learning.learner, self._config.folder)
        if restored is None:
            return
        extra = restored.extra
        self._learning.load(restored.path / MEMORY)
        self.offsets = _offsets(extra)
        self._maker.restore(extra["adapters"])
        self._steps = extra["steps"]
        self._lessons.restore(extra)
        if restored.config != self._config.config:
            log.warning(
                "%s was made with other settings: adapters from here on cannot be made again from before",
                restored.path.name,
            )
        log.info("restored %s: %d steps, adapter %d", restored.path.name, self._steps, self.version)


def _offsets(extra: Mapping[str, Any]) -> dict[tuple[str, int], int]:
    """Next offset by topic and partition, of a snapshot."""
    return {(topic, partition): offset for topic, partition, offset in extra["offsets"]}
