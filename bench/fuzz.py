"""Bad input at length: fuzzed records through the real workers, and what became of every one of them."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from bench.filling import fill
from bench.fuzz_check import check_items, check_slates, check_states
from bench.fuzz_watch import Aim, Patience, watch
from bench.machine import Machine
from bench.report import BenchReport, Goal
from bench.servers import running
from bench.telling import Tell, silent
from events.clock import SystemClock
from events.topics import USER_TOPICS, Topic
from load.fuzz_records import Fuzzer, FuzzShop
from load.verdicts import KIND_HEADER, Verdicts
from streams.bounded_read import read_to_end
from streams.publisher import Record
from streams.settings import Settings
from streams.system import System
from streams.topics import topic_name

_SENT_AT_ONCE = 50_000
_READY_S = 600.0  # compiled kernels may have to be made first
_SHOWN = 10  # problems that are told
_SOURCES = (*USER_TOPICS, Topic.ITEMS)


@dataclass(frozen=True, slots=True)
class FuzzConfig:
    """How much, and for how long nothing may happen."""

    records: int = 20_000
    seed: int = 1
    stall_s: float = 120.0  # without any progress of any worker
    timeout_s: float = 3_600.0

    def __post_init__(self) -> None:
        if self.records < 1 or self.seed < 0 or self.stall_s <= 0 or self.timeout_s <= 0:
            raise ValueError(f"{self}: records, stall_s and timeout_s must be above 0, seed at least 0")


def run_fuzz(config: FuzzConfig, *, settings: Settings, machine: Machine, tell: Tell = silent) -> BenchReport:
    """Every record accounted for: bad ones in dead letters, good ones applied, no worker stopped or stuck."""
    prefix = f"fuzz-{uuid4().hex[:8]}-"
    with (
        tempfile.TemporaryDirectory(prefix="headwater-fuzz-") as folder,
        running(settings, broker="embedded", kafka_home=None, prefix=prefix) as ready,
    ):
        own = ready.updated(
            serving={"slate_size": 5}, learner={"deep": False, "snapshot_dir": f"{folder}/snapshots"}
        )
        with System(own, log_dir=Path(folder)) as system:
            system.wait_ready(timeout_s=_READY_S)
            before = _memory(system)
            started = time.monotonic()
            now_ms = SystemClock().now_ms()
            ends = _send(config, settings=own, now_ms=now_ms, tell=tell)
            sent_s = time.monotonic() - started
            verdicts = _judged(own, now_ms=now_ms, tell=tell)
            aim = Aim(ends=ends, events=verdicts.events, items_topic=topic_name(Topic.ITEMS, kafka=own.kafka))
            patience = Patience(stall_s=config.stall_s, timeout_s=config.timeout_s)
            quiet_s = asyncio.run(watch(system, aim=aim, patience=patience, tell=tell))
            seconds = time.monotonic() - started
            after = _memory(system)
            tell("reading what became of it")
            for record in _read(own, Topic.DEAD_LETTERS):
                verdicts.take_letter(record)
            missing = verdicts.missing()
            users = asyncio.run(check_states(own, verdicts=verdicts))
            slates = check_slates(verdicts, _read(own, Topic.RECOMMENDATIONS))
            items = check_items(verdicts, _read(own, Topic.ITEM_VECTORS))
            restarts = sum(system.supervisor.restarts.values())
    problems = [*verdicts.problems, *missing, *users.problems, *slates.problems, *items.problems]
    for problem in problems[:_SHOWN]:
        tell(f"PROBLEM {problem}")
    kinds = [
        {"kind": name, **{n: getattr(k, n) for n in ("records", "good", "bad", "letters", "cut")}}
        | {"reasons": dict(k.reasons.most_common())}
        for name, k in verdicts.kinds.items()
    ]
    return BenchReport(
        name="fuzz",
        figures={
            "records": sum(k.records for k in verdicts.kinds.values()),
            "good_events": verdicts.events,
            "bad": sum(k.bad for k in verdicts.kinds.values()),
            "letters": sum(k.letters for k in verdicts.kinds.values()),
            "problems": len(problems),
            "crashes": restarts,
            "longest_quiet_s": quiet_s,
            "records_per_s": config.records / seconds,
        },
        goals=(Goal("problems", 0), Goal("crashes", 0), Goal("longest_quiet_s", config.stall_s)),
        details={
            "kinds": kinds,
            "letters_cut": sum(k.cut for k in verdicts.kinds.values()),
            "letters_written_twice": verdicts.repeated_letters,
            "users_checked": users.checked,
            "users_on_several_topics": users.unordered,
            "users_with_slates": slates.checked,
            "items_checked": items.checked,
            "seconds": {"sending": sent_s, "all": seconds},
            "memory_mb_before": before,
            "memory_mb_after": after,
            "first_problems": problems[:_SHOWN],
        },
        settings={
            "seed": config.seed,
            "broker": "embedded (tansu)",
            "partitions": own.kafka.partitions,
            "workers": "recommender, learner (wide part), encoder",
        },
        notes=(
            "the ledger reads the topics plainly and asks the codec for the verdict of every record; a letter must "
            "have the reason and the very bytes, a user's state the plain count of that user's events",
            "a letter is cut where the original is larger than the dead letters' topic allows (2 MiB): it has the "
            "first bytes and the size of all of them",
        ),
        machine=machine,
    )


def _send(config: FuzzConfig, *, settings: Settings, now_ms: int, tell: Tell) -> dict[tuple[str, int], int]:
    """The last offset of each partition."""
    kafka = {**settings.kafka.confluent(), "message.max.bytes": 8 * 1024 * 1024}
    names = {topic: topic_name(topic, kafka=settings.kafka) for topic in _SOURCES}
    ends: dict[tuple[str, int], int] = {}
    fuzzed = Fuzzer(FuzzShop(), seed=config.seed, now_ms=now_ms).records(config.records)
    records = (
        Record(names[one.topic], one.key, one.value, None, (*one.headers, (KIND_HEADER, one.kind.encode())))
        for one in fuzzed
    )
    sent = 0
    while sent < config.records:
        part = [record for _, record in zip(range(_SENT_AT_ONCE), records, strict=False)]
        for place, offset in fill(kafka, part).items():
            ends[place] = max(offset, ends.get(place, -1))
        sent += len(part)
        tell(f"{sent:,} of {config.records:,} records sent")
    return ends


def _read(settings: Settings, *topics: Topic) -> Iterator[object]:
    names = [topic_name(topic, kafka=settings.kafka) for topic in topics]
    return read_to_end(settings.kafka, topics=names, timeout_s=1_800)


def _judged(settings: Settings, *, now_ms: int, tell: Tell) -> Verdicts:
    topics = {topic_name(topic, kafka=settings.kafka): topic for topic in _SOURCES}
    verdicts = Verdicts(topics=topics, now_ms=now_ms)
    for record in _read(settings, *_SOURCES):
        verdicts.take(record)
    tell(f"the log has {verdicts.events:,} good events")
    return verdicts


def _memory(system: System) -> dict[str, float]:
    """Resident memory of each worker in MB."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, 1)
        for name, pid in sorted(system.supervisor.pids.items())
    }
