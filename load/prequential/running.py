"""One contender over all units, test then train: what it recommended, and what that took."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns, process_time

import numpy as np
import psutil
from numpy.typing import NDArray

from load.errors import LoadError
from load.prequential.contender import Contender, Query, StreamInfo
from load.prequential.units import Units

K = 20
_MEMORY_POINTS = 40


class BadContender(LoadError):
    """A contender that breaks the rules: says which unit and which rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What became of n units."""

    lists: NDArray[np.int32]  # (n, K) recommended item codes, best first, -1 pads
    recommend_us: NDArray[np.float32]  # (n,)
    learn_us: NDArray[np.float32]  # (n,)
    memory_mb: NDArray[np.float32]  # (m,) resident memory, at even distances over the stream
    before_mb: float  # resident memory before the contender was made: Python and the stream
    peak_mb: float  # most resident memory of the process
    elapsed_s: float  # of asking, teaching and showing, making the contender left out
    cpu_s: float  # of all threads of the process meanwhile: what a busy machine does not stretch

    @property
    def units_per_s(self) -> float:
        """Units a second, learning included."""
        return len(self.lists) / max(self.elapsed_s, 1e-9)

    def save(self, path: Path) -> None:
        """Write it, atomically, so that a file that is there is whole."""
        scalars = np.array([self.before_mb, self.peak_mb, self.elapsed_s, self.cpu_s], np.float64)
        partial = path.with_name(f"{path.name}.partial.npz")
        np.savez_compressed(
            partial,
            lists=self.lists,
            recommend_us=self.recommend_us,
            learn_us=self.learn_us,
            memory_mb=self.memory_mb,
            scalars=scalars,
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            before_mb, peak_mb, elapsed_s, cpu_s = arrays["scalars"].tolist()
            return cls(
                lists=arrays["lists"],
                recommend_us=arrays["recommend_us"],
                learn_us=arrays["learn_us"],
                memory_mb=arrays["memory_mb"],
                before_mb=before_mb,
                peak_mb=peak_mb,
                elapsed_s=elapsed_s,
                cpu_s=cpu_s,
            )


def run_contender(
    make: Callable[[], Contender],
    *,
    units: Units,
    info: StreamInfo,
    seen: Callable[[int], None] = lambda _units: None,
) -> Run:
    """Asks and teaches the contender unit by unit, and shows it the repeats between them; `seen` is told after
    each unit how many there have been.

    BadContender where it recommends an item twice, more than K, or one that it cannot know yet.
    """
    n = len(units)
    lists = np.full((n, K), -1, np.int32)
    recommend_us, learn_us = np.zeros(n, np.float32), np.zeros(n, np.float32)
    known = np.zeros(info.n_items, np.bool_)
    process = psutil.Process()
    before_mb = process.memory_info().rss / 1e6
    contender = make()
    memory: list[float] = []
    memory_every = max(1, n // _MEMORY_POINTS)
    spent_ns, cpu_s, next_row = 0, process_time(), 0
    for unit in units:
        for repeat in units.repeats.between(next_row, unit.rows.start):
            started = perf_counter_ns()
            contender.see(repeat)
            spent_ns += perf_counter_ns() - started
        next_row = unit.rows.stop
        query = Query(unit.index, unit.at_ms, unit.user, unit.session)
        started = perf_counter_ns()
        answer = contender.recommend(query, k=K)
        asked = perf_counter_ns()
        _check(answer, unit_index=unit.index, at_ms=unit.at_ms, known=known, info=info, name=contender.name)
        lists[unit.index, : len(answer)] = answer
        known[unit.items] = True
        checked = perf_counter_ns()
        contender.learn(unit)
        learnt = perf_counter_ns()
        recommend_us[unit.index] = (asked - started) / 1e3
        learn_us[unit.index] = (learnt - checked) / 1e3
        spent_ns += asked - started + learnt - checked
        if unit.index % memory_every == 0 or unit.index == n - 1:
            memory.append(process.memory_info().rss / 1e6)
        seen(unit.index + 1)
    return Run(
        lists=lists,
        recommend_us=recommend_us,
        learn_us=learn_us,
        memory_mb=np.array(memory, np.float32),
        before_mb=before_mb,
        peak_mb=peak_mb(),
        elapsed_s=spent_ns / 1e9,
        cpu_s=process_time() - cpu_s,
    )


def _check(
    answer: NDArray[np.int64],
    *,
    unit_index: int,
    at_ms: int,
    known: NDArray[np.bool_],
    info: StreamInfo,
    name: str,
) -> None:
    where = f"{name}, unit {unit_index}"
    if answer.ndim != 1 or answer.dtype != np.int64 or len(answer) > K:
        raise BadContender(f"{where}: returned {answer.dtype} {answer.shape}; expected int64 (at most {K},)")
    if not len(answer):
        return
    if answer.min() < 0 or answer.max() >= info.n_items or len(set(answer.tolist())) != len(answer):
        raise BadContender(f"{where}: items must be distinct codes from 0 to {info.n_items - 1}: {answer}")
    may = known[answer]
    if info.item_first_ts is not None:
        may = may | (info.item_first_ts[answer] < at_ms)
    if not may.all():
        raise BadContender(f"{where}: recommends item {answer[~may][0]}, which nobody can know of yet")


def peak_mb(status: Path = Path("/proc/self/status")) -> float:
    """Most resident memory that this process ever had, in MB (10^6 bytes).

    The kernel's high-water mark of this address space where it is told: `ru_maxrss` would include what the
    parent process had when this one was started.
    """
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss)) / 1e6
