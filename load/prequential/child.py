"""A contender in a process of its own, so that its time and its memory are its own."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from events.errors import HeadwaterError
from load.errors import LoadError
from load.prequential.contender import Factory
from load.prequential.prepared import load_prepared
from load.prequential.running import run_contender

FactoryOf = Callable[[str], Factory]
"""The factory of a contender by its name. A function of a module, or an object of such a class: it is sent to
the process that needs it."""

_TELL_EVERY_S = 0.5


class ContenderFailed(LoadError):
    """A contender's process ended without a result: says what happened there."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to do: run `name` over the stream prepared in `folder`, and leave its Run in `out`."""

    name: str
    seed: int
    folder: Path
    out: Path
    factory_of: FactoryOf


def run_in_child(
    job: Job, *, seen: Callable[[int, int], None], stopped: Callable[[], bool] = lambda: False
) -> None:
    """Runs the job and waits; `seen` is told now and then how many units of how many are done, and `stopped`
    asked whether to give up.

    ContenderFailed with the reason, after which `job.out` is not there.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), name=f"bench-{job.name}")
    process.start()
    sender.close()
    problem = "its process ended without a word"
    try:
        while True:
            if stopped():
                problem = "interrupted"
                process.terminate()
                break
            if not receiver.poll(_TELL_EVERY_S):
                continue
            try:
                message = receiver.recv()
            except EOFError:
                break
            if isinstance(message, str):
                problem = message
            else:
                seen(*message)
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join()
        receiver.close()
    if not job.out.is_file():
        if process.exitcode and not stopped():
            problem += f" (exit code {process.exitcode})"
        raise ContenderFailed(f"{job.name}: {problem}")


def _work(job: Job, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells the whole group; the parent decides
    try:
        prepared = load_prepared(job.folder)
        factory = job.factory_of(job.name)
        n = len(prepared.units)
        next_s = time.monotonic()

        def seen(units: int) -> None:
            nonlocal next_s
            now = time.monotonic()
            if now >= next_s or units == n:
                next_s = now + _TELL_EVERY_S
                sender.send((units, n))

        run = run_contender(
            lambda: factory(prepared.info, job.seed), units=prepared.units, info=prepared.info, seen=seen
        )
        run.save(job.out)
    except (HeadwaterError, ImportError) as error:
        sender.send(f"{type(error).__name__}: {error}")
    finally:
        sender.close()
