"""Makes an adapter again from the log: the newest snapshot before it, the log since, in the order written down."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.threads import limit_search_threads
from models.adapters import unpacked
from models.errors import AdapterError
from models.snapshots import extra_of, snapshots
from streams.adapter_topic import SERVING_HEADER, Published
from streams.bounded_read import read_to_end
from streams.learner_parts import learning_agent, learnt_from
from streams.learning import JOURNAL
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from streams.sequencer import Journal
from streams.settings import Settings

_AT_ONCE = 500
_READ_TIMEOUT_S = 24 * 3600.0
_CLOCK = ("made_at",)  # of the header: when, not what


@dataclass(frozen=True, slots=True)
class Replayed:
    """An adapter made again, beside the published one."""

    name: str
    started_from: str  # a snapshot's name, or "the log's start"
    records: int  # of the log, read
    same_settings: bool
    differences: tuple[str, ...]  # none: bit-identical

    @property
    def identical(self) -> bool:
        return not self.differences


def replay(settings: Settings, *, target: Published, work: Path) -> Replayed:
    """Make `target` again in the empty folder `work`; `target` must have its value.

    Reads the learner's folder (`learner.snapshot_dir`) and changes nothing there. AdapterError where neither the
    journal nor a snapshot reaches back far enough.
    """
    limit_search_threads(settings.learner.threads)  # as the worker does
    started_from = _start(Path(settings.learner.snapshot_dir), target=target, work=work)
    agent = learning_agent(settings, metrics=Metrics(role="learner"), folder=work, snapshots=False)
    read = 0
    for batch in _batches(settings, topics=list(learnt_from(settings)), start=agent.offsets):
        read += len(batch)
        for made in agent.process(batch):
            if _version(made) == target.version:
                return Replayed(
                    name=target.name,
                    started_from=started_from,
                    records=read,
                    same_settings=agent.config_hash == target.record.config,
                    differences=tuple(_differences(made, target=target)),
                )
    raise AdapterError(
        f"the log ended after {read} records and publication {agent.version}; {target.name} is publication "
        f"{target.version}: the log, or the journal of the order taken, was cut short"
    )


def _start(folder: Path, *, target: Published, work: Path) -> str:
    """Copy what the replay starts from into `work`, and say what it is."""
    journal = folder / JOURNAL
    if not journal.exists():
        raise AdapterError(
            f"there is no {journal.absolute()}: learner.snapshot_dir must be the learner's own folder"
        )
    shutil.copy(journal, work / JOURNAL)
    wanted = {(topic, partition): offset for topic, partition, offset in target.record.offsets}
    for snapshot in reversed(snapshots(folder)):
        if _publications(snapshot) < target.version:
            try:
                shutil.copytree(snapshot, work / snapshot.name)
            except OSError as error:
                raise AdapterError(
                    f"{snapshot} cannot be copied, perhaps because the learner removed it: {error}; run it again"
                ) from error
            return snapshot.name
    start = Journal(journal).start
    if start:
        reach = sum(start.values())
        raise AdapterError(
            f"{target.name} includes {sum(wanted.values())} records; the journal reaches back to {reach}, and no "
            "snapshot is kept from before: raise learner.journal_mb or learner.snapshots_kept"
        )
    return "the log's start"


def _publications(snapshot: Path) -> int:
    """How many adapters had been made by then."""
    return int(extra_of(snapshot)["adapters"]["version"])


def _batches(
    settings: Settings, *, topics: Sequence[str], start: dict[tuple[str, int], int]
) -> Iterator[list[LogRecord]]:
    batch: list[LogRecord] = []
    for r in read_to_end(settings.kafka, topics=topics, timeout_s=_READ_TIMEOUT_S, start=start):
        headers = tuple(r.headers)
        batch.append(LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, headers))
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _version(made: Record) -> int:
    return int(json.loads(dict(made.headers)[SERVING_HEADER] or b"")["version"])


def _differences(made: Record, *, target: Published) -> Iterator[str]:
    """Where the two differ, in words."""
    ours = json.loads(dict(made.headers)[SERVING_HEADER] or b"")
    theirs = json.loads(dict(target.headers)[SERVING_HEADER] or b"")
    for key in sorted({*ours, *theirs} - set(_CLOCK)):
        if ours.get(key) != theirs.get(key):
            yield f"{key}: published {_short(theirs.get(key))}, made again {_short(ours.get(key))}"
    if made.value == target.value:
        return
    again, published = unpacked(made.value or b""), unpacked(target.value or b"")
    for name in sorted({*again, *published}):
        if name not in again or name not in published:
            yield f"{name}: only in the {'published' if name in published else 'new'} one"
        elif again[name].tobytes() != published[name].tobytes():
            apart = np.abs(again[name].astype(np.float64) - published[name].astype(np.float64)).max()
            yield f"{name}: up to {apart:.3g} apart"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
