"""The benchmark: a stream is prepared once, every contender runs over it in its own process, all are compared."""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import Any

from load.errors import BadLoadConfig
from load.prequential.bootstrap import BootstrapConfig
from load.prequential.child import ContenderFailed, FactoryOf, Job, run_in_child
from load.prequential.figures import Judge, Scored, item_facts, score
from load.prequential.prepared import Prepared, StreamConfig, load_prepared, prepare
from load.prequential.running import K, Run
from load.prequential.units import YOUNG, known_before
from load.progress import Moment, Watcher


@dataclass(frozen=True, slots=True)
class HarnessConfig:
    """What is run. `work`: the folder for the prepared stream and finished runs. `subject`: begins the name of
    the contender that is compared with each other one; the first of all where none does."""

    stream: StreamConfig
    models: tuple[str, ...]
    work: Path
    seed: int = 7
    jobs: int = 1
    resume: bool = False
    subject: str = "headwater"
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) != len(self.models):
            raise BadLoadConfig(f"models: received {self.models}, expected at least one, each once")
        if self.jobs < 1 or self.seed < 0:
            raise BadLoadConfig(f"jobs {self.jobs}, seed {self.seed}: expected >= 1 and >= 0")

    @property
    def folder(self) -> Path:
        """Where this stream with these options is prepared; another one has another folder."""
        return self.work / self.stream.key()


def ready_stream(config: HarnessConfig) -> Prepared:
    """The prepared stream: the one in the work folder where there is one, else made there now."""
    folder = config.folder
    done = folder / "ready"
    if not done.is_file():
        prepare(config.stream, folder=folder)
        done.touch()
    return load_prepared(folder)


def run_all(
    config: HarnessConfig, *, factory_of: FactoryOf, watcher: Watcher
) -> tuple[dict[str, Run], dict[str, str]]:
    """The run of each model over the stream made ready, and the reasons of those that failed. ContenderFailed
    where all did.

    With `resume`, runs that an earlier call finished over the same stream and seed are taken as they are.
    """
    folder = config.folder
    lock, stop, started = Lock(), Event(), monotonic()
    runs, failed = dict[str, Run](), dict[str, str]()

    def one(name: str) -> None:
        out = folder / f"run-{name}-{config.seed}.npz"
        if not (config.resume and out.is_file()):
            out.unlink(missing_ok=True)
            begun = monotonic()

            def seen(units: int, n: int) -> None:
                now = monotonic()
                line = f"{units:,} of {n:,} units, {units / max(now - begun, 1e-9):,.0f}/s"
                with lock:
                    watcher.show(Moment(name, now - started, units / n, line))

            try:
                run_in_child(Job(name, config.seed, folder, out, factory_of), seen=seen, stopped=stop.is_set)
            except ContenderFailed as error:
                with lock:
                    failed[name] = str(error)
                    watcher.show(Moment(name, monotonic() - started, None, f"failed: {error}"))
                return
        run = Run.load(out)
        with lock:
            runs[name] = run

    with watcher, ThreadPoolExecutor(config.jobs) as pool:
        try:
            for done in [pool.submit(one, name) for name in config.models]:
                done.result()
        except BaseException:  # above all Ctrl-C: what runs ends, what waits never starts
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if not runs:
        raise ContenderFailed("; ".join(failed.values()))
    return {name: runs[name] for name in config.models if name in runs}, failed


def compare(
    config: HarnessConfig, *, prepared: Prepared, runs: Mapping[str, Run], failed: Mapping[str, str]
) -> dict[str, Any]:
    """The report as plain values: `models`, `paired`, `stream`; numbers that are not finite are None."""
    info, units, protocol = prepared.info, prepared.units, config.stream.protocol
    known = known_before(units, config=protocol, n_items=info.n_items, first_ts=info.item_first_ts)
    judge = Judge(units, known, info.n_items, item_facts(info), config.bootstrap)
    scored: dict[str, Scored] = {
        name: score(run, units=units, n_items=info.n_items) for name, run in runs.items()
    }
    subject = _subject(list(scored), wanted=config.subject)
    report = {
        "stream": {
            "data": config.stream.data.name,
            "items": config.stream.items.name if config.stream.items else None,
            "where": config.stream.where,
            "protocol": protocol.protocol,
            "session_gap_min": protocol.session_gap_ms / 60_000 if protocol.session_gap_ms else None,
            "rows": len(info.ts),
            "rows_left_out": prepared.left_out,
            "units": len(units),
            "counted_units": int(known.counted.sum()),
            "warm_units": int((known.counted & known.warm).sum()),
            "items_in_stream": int(units.items.max()) + 1,
            "users": info.n_users,
            "first_ms": int(units.at_ms[0]),
            "last_ms": int(units.at_ms[-1]),
            "burn_in": protocol.burn_in,
            "k": K,
            "young_at_most": YOUNG,
        },
        "seed": config.seed,
        "subject": subject,
        "models": {name: judge.figures(each) for name, each in scored.items()},
        "paired": {
            name: judge.paired(scored[subject], against=each)
            for name, each in scored.items()
            if name != subject
        },
        "failed": dict(failed),
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def _subject(names: list[str], *, wanted: str) -> str:
    if wanted in names:
        return wanted
    return next((name for name in names if name.startswith(wanted)), names[0])


def _plain(value: Any) -> Any:
    match value:
        case float():
            return round(value, 6) if math.isfinite(value) else None
        case dict():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value
