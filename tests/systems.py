"""Small systems for tests: the real workers, with arrays a few hundred rows large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.settings import KafkaSettings, Settings
from streams.system import System
from tests.forked import forked
from tests.streams.deadlines import wait_for

SMALL = {
    "items": 512,
    "users": 2048,
    "sessions": 4096,
    "session_length": 16,
    "user_items": 32,
    "item_sessions": 32,
    "item_users": 32,
    "neighbours": 16,
}
LEARNER = {"batch_units": 8, "publish_every_batches": 2, "snapshot_every_batches": 4}


def small_settings(
    kafka: KafkaSettings, *, redis_url: str, redis_prefix: str, folder: Path, **groups: dict[str, Any]
) -> Settings:
    """Settings of a small system on these servers; `groups` change some."""
    learner = {**LEARNER, "snapshot_dir": str(folder / "snapshots"), **groups.pop("learner", {})}
    made = Settings(kafka=kafka).updated(
        redis={"url": redis_url, "prefix": redis_prefix}, sources=SMALL, learner=learner
    )
    return made.updated(**groups)


def quick_system(settings: Settings, **options: Any) -> System:
    """A System whose workers start quickly; options as System's."""
    return System(settings, start=forked, **options)


def recommenders(settings: Settings, *, n: int = 1, log_dir: Path) -> System:
    """`n` recommenders alone."""
    return quick_system(settings, recommenders=n, learner=False, encoder=False, log_dir=log_dir)


def total(system: System, series: str) -> float:
    """A series of every worker of the system, summed."""
    return sum(system.metric(name, series) for name in system.metrics_ports)


def wait_shared(systems: Sequence[System], *, partitions: int, timeout_s: float = 90.0) -> None:
    """Return once every recommender of these systems is ready, which it is only with partitions of its own."""
    names = [(system, name) for system in systems for name in system.metrics_ports]
    assert len(names) <= partitions
    wait_for(
        lambda: all(system.metric(name, "headwater_ready") == 1.0 for system, name in names),
        what="every worker has partitions",
        timeout_s=timeout_s,
    )
