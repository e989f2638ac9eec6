"""`headwater tune` from the stream to the settings that it proposes."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.machine import Machine
from bench.prequential.catalogue import encode_catalogue, read_vectors
from bench.prequential.variants import variant_of
from bench.telling import Tell, silent
from bench.tuning.judged import Outcome, Piece, Report, first_share, judge
from bench.tuning.space import SPACE, Values, applied, present, toml_lines
from bench.tuning.study import StudyConfig, Tried, search
from load.prequential.harness import HarnessConfig, ready_stream
from load.prequential.prepared import StreamConfig, catalogue_of
from load.prequential.scoring import CUTS, METRICS
from load.progress import Moment, Watcher
from streams.settings import Settings

MOST_SHARE = 0.2  # of a stream that may be tuned on without further words


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """What is searched, on what. `share`: of the stream's units, the first ones. `minutes`: no new trial after
    that; None: no limit. `confirm`: so many further seeds on which defaults and best are compared again."""

    stream: StreamConfig
    work: Path
    journal: Path
    model: str = "headwater-wide"
    share: float = MOST_SHARE
    allow_more: bool = False
    metric: str = "ndcg@20"
    trials: int = 40
    minutes: float | None = None
    confirm: int = 2
    seed: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BenchError(f"--share is {self.share}; it must be above 0 and at most 1")
        if self.share > MOST_SHARE and not self.allow_more:
            raise BenchError(
                f"--share is {self.share}: settings tuned on more than the first {MOST_SHARE} of a stream say "
                "little about the rest of it. If you never report figures on this stream, add --allow-more"
            )
        allowed = [f"{name}@{cut}" for name in METRICS for cut in CUTS]
        if self.metric not in allowed:
            raise BenchError(f"--metric is {self.metric!r}; it must be one of {', '.join(allowed)}")
        if self.confirm < 0:
            raise BenchError(f"--confirm is {self.confirm}; it must be 0 or more")
        variant_of(self.model)


def tune(
    config: TuneConfig,
    *,
    settings: Settings,
    machine: Machine,
    watcher: Watcher,
    tell: Tell = silent,
    clock: Callable[[], float] = time.monotonic,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The report as plain values: every trial, what the settings score as they are, the best, and its TOML."""
    harness = HarnessConfig(config.stream, (config.model,), config.work)
    whole = ready_stream(harness)
    vectors = harness.folder / f"vectors-{settings.learner.encoder.replace('/', '-')}.npz"
    encode_catalogue(catalogue_of(config.stream, folder=harness.folder), settings=settings, path=vectors)
    piece = Piece(
        first_share(whole, share=config.share), config.stream.protocol, read_vectors(vectors), config.metric
    )
    n = len(piece.prepared.units)
    if not piece.counted().any():
        raise BenchError(f"the first {config.share} of this stream are {n} units, none of them warm: too few")
    tell(f"tuning on the first {n:,} of {len(whole.units):,} units; the rest stays unseen")
    variant, started = variant_of(config.model), clock()
    trials_begun = 0

    def objective(values: Values, report: Report, *, seed: int = config.seed) -> Outcome:
        nonlocal trials_begun
        trials_begun += 1
        phase = f"run {trials_begun}"

        def seen(units: int) -> None:
            if units % 50 == 0 or units == n:
                watcher.show(Moment(phase, clock() - started, units / n, f"{units:,} of {n:,} units"))

        return judge(
            applied(settings, values=values),
            variant=variant,
            seed=seed,
            piece=piece,
            report=report,
            seen=seen,
        )

    about = {
        "stream": config.stream.key(),
        "share": config.share,
        "model": config.model,
        "metric": config.metric,
        "seed": config.seed,
        "settings": settings.describe(),
        "space": {name: repr(dial) for name, dial in SPACE.items()},
    }
    study = StudyConfig(trials=config.trials, seed=config.seed, journal=config.journal, about=about)

    def more() -> bool:
        return config.minutes is None or clock() - started < config.minutes * 60

    with watcher:
        tried = search(study, settings=settings, objective=objective, more=more, tell=tell)
        best = max((each for each in tried if each.score is not None), key=lambda each: each.score or 0.0)
        again = [
            {
                "seed": seed,
                "default": objective(present(settings), _go_on, seed=seed).score,
                "best": objective(best.values, _go_on, seed=seed).score,
            }
            for seed in range(config.seed + 1, config.seed + 1 + config.confirm)
            if best.values != tried[0].values
        ]
    return {
        "kind": "tune",
        "header": {
            "date": (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
            "command": machine.command,
            "machine": machine.line(),
            "load_average": list(machine.load_average),
            "versions": machine.versions,
        },
        "stream": config.stream.data.name,
        "protocol": config.stream.protocol.protocol,
        "model": config.model,
        "metric": config.metric,
        "share": config.share,
        "units": n,
        "units_of_stream": len(whole.units),
        "seed": config.seed,
        "space": about["space"],
        "default": _plain(tried[0]),
        "best": _plain(best),
        "again": again,
        "toml": toml_lines(settings, values=best.values),
        "trials": [_plain(each) for each in tried],
    }


def _go_on(_step: int, _score: float) -> None:
    """A report that ends no run."""


def _plain(tried: Tried) -> dict[str, Any]:
    return asdict(tried)
