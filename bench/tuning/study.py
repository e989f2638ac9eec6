"""The search: trials by optuna's TPE, stopped early below the median curve, kept in a journal to resume from.

Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization; Akiba et al. (2019), Optuna.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError
from bench.telling import Tell, silent
from bench.tuning.judged import Outcome, Report
from bench.tuning.space import Value, Values, present, space_around, suggest
from streams.settings import Settings

WARM_UP = 3  # checkpoints before any trial is stopped
STARTUP = 5  # trials before the first that may be stopped, and before the sampler models anything

Objective = Callable[[Values, Report], Outcome]
"""Runs one set of values; whatever the report raises ends the run."""


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """`about` stands for everything that a score depends on: a journal of another is refused."""

    trials: int
    seed: int
    journal: Path
    about: dict[str, Any]

    def __post_init__(self) -> None:
        if self.trials < 1 or self.seed < 0:
            raise BenchError(f"trials {self.trials}, seed {self.seed}: expected >= 1 and >= 0")


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial. `score` is None where it was stopped below the median; `curve`: the mean at checkpoints."""

    values: dict[str, Value]
    curve: dict[int, float]
    score: float | None
    units_per_cpu_s: float | None


class Stopped(Exception):
    """Raised by a report to end a trial."""


def search(
    config: StudyConfig,
    *,
    settings: Settings,
    objective: Objective,
    more: Callable[[], bool] = lambda: True,
    tell: Tell = silent,
) -> list[Tried]:
    """All trials, in their order, those of an earlier run with the same journal first. The first one is
    `settings` as they are. `more` is asked before each new trial whether there is time for it.

    The sampler's chance depends only on the seed and the number of trials before, so a resumed search goes on
    as an unbroken one would have. BenchError where the journal is of something else.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _study(optuna, config)
    space = space_around(settings)
    while (done := len(_finished(optuna, study))) < config.trials and (done == 0 or more()):
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + done, n_startup_trials=STARTUP)
        if not done:
            study.enqueue_trial(present(settings), skip_if_exists=True)
        trial = study.ask()
        values = suggest(trial, space=space)
        shown = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in values.items())

        def report(step: int, score: float, trial: Any = trial) -> None:
            trial.report(score, step)
            if trial.should_prune():
                raise Stopped

        trial.set_user_attr("values", values)
        try:
            outcome = objective(values, report)
        except Stopped:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            tell(f"trial {done}: stopped below the median ({shown})")
            continue
        trial.set_user_attr("units_per_cpu_s", outcome.units_per_cpu_s)
        study.tell(trial, outcome.score)
        tell(f"trial {done}: {outcome.score:.4f} ({shown})")
    return [_tried(optuna, trial) for trial in _finished(optuna, study)]


def _study(optuna: ModuleType, config: StudyConfig) -> Any:
    """The journal's study, without what a broken-off run left unfinished."""
    config.journal.parent.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(config.journal))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="headwater-tune",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARM_UP),
    )
    about = json.loads(json.dumps(config.about))
    found = study.user_attrs.get("about", about)
    if found != about:
        other = sorted(name for name in {*found, *about} if found.get(name) != about.get(name))
        raise BenchError(
            f"{config.journal} is the journal of another search (other {', '.join(other)}); "
            "name another with --journal, or delete it"
        )
    study.set_user_attr("about", about)
    for trial in study.get_trials(deepcopy=False):
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _finished(optuna: ModuleType, study: Any) -> list[Any]:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found: list[Any] = study.get_trials(deepcopy=False, states=states)
    return found


def _tried(optuna: ModuleType, trial: Any) -> Tried:
    complete = trial.state == optuna.trial.TrialState.COMPLETE
    return Tried(
        values=dict(trial.user_attrs["values"]),
        curve={int(step): float(mean) for step, mean in trial.intermediate_values.items()},
        score=float(trial.value) if complete else None,
        units_per_cpu_s=trial.user_attrs.get("units_per_cpu_s"),
    )


def _optuna() -> ModuleType:
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise BenchError(
            'headwater tune needs the package optuna, which is not installed: pip install "headwater[bench]"'
        ) from error
