"""One fault after the other: hit, wait until the hit process answers again, note how long that took."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.chaos.workers import Workers
from bench.errors import BenchError
from load.chaos.answered import Answered
from load.chaos.feeding import Feeder
from load.chaos.schedule import Fault, FaultKind
from streams.kafka_home import KafkaHome

_LOOK_S = 0.1  # a look at a worker's metrics costs both processes some milliseconds
_RECOVERY_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was done. recovery_s: None where the next one came first."""

    number: int
    kind: FaultKind
    name: str
    at_s: float  # from the start of the run
    burst: int
    recovery_s: float | None
    again_s: float | None  # until the process was started again: a gentle one ends in its own time
    ready_s: float | None


class NotBack(BenchError):
    """What was hit has not come back in time; the message ends with the ends of the logs."""


class Striker:
    """Does faults to workers and broker while the feeder feeds. From the thread that started them."""

    def __init__(
        self,
        workers: Workers,
        *,
        kafka: KafkaHome | None,
        feeder: Feeder,
        answered: Answered,
        check: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._kafka = kafka
        self._feeder = feeder
        self._answered = answered
        self._check = check
        self._started_s = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass, looking after the workers."""
        self.until(lambda: False, timeout_s=seconds)

    def until(self, done: Callable[[], bool], *, timeout_s: float) -> bool:
        """Whether it was done in time; looks after the workers meanwhile."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._workers.look_after()
            self._check()
            if done():
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(_LOOK_S, left_s))

    def ready(self, names: Sequence[str]) -> bool:
        return all(self._workers.ready(name) for name in names)

    def strike(self, fault: Fault, *, number: int, names: Sequence[str]) -> Struck:
        """Do it; unless it is in a hurry, return once all of `names` are ready and what was hit answers."""
        self.wait(fault.after_s)
        if fault.burst:
            encoder = fault.kind.role == "encoder"
            self._feeder.burst(events=0 if encoder else fault.burst, items=fault.burst if encoder else 0)
            self.wait(fault.lead_s)
        name = self._victim(fault)
        before = self._workers.starts(name) if name != "broker" else 0
        hit_s = time.monotonic()
        self._answered.mark(hit_s)
        self._hit(fault.kind, name)
        again_s = ready_s = recovery_s = None
        if not fault.hurry:
            again = (lambda: self._workers.starts(name) > before) if name != "broker" else (lambda: True)
            self._wait_for(again, f"{name} was not started again")
            again_s = time.monotonic() - hit_s
            first = [name, *names] if name in names else names  # the others are asked once it is ready
            self._wait_for(lambda: self.ready(first), "not every worker is ready")
            ready_s = time.monotonic() - hit_s
            role = "recommender" if name == "broker" else fault.kind.role
            self._wait_for(lambda: self._answered.answered_s(role) is not None, f"{role} does not answer")
            recovery_s = max(ready_s, (self._answered.answered_s(role) or hit_s) - hit_s)
        return Struck(
            number=number,
            kind=fault.kind,
            name=name,
            at_s=round(hit_s - self._started_s, 3),
            burst=fault.burst,
            recovery_s=_rounded(recovery_s),
            again_s=_rounded(again_s),
            ready_s=_rounded(ready_s),
        )

    def _victim(self, fault: Fault) -> str:
        role = fault.kind.role
        if role == "broker":
            return role
        names = self._workers.of(role)
        name = names[int(fault.victim * len(names))]
        self._wait_for(lambda: self._workers.running(name), f"{name} does not run")
        return name

    def _hit(self, kind: FaultKind, name: str) -> None:
        if kind is FaultKind.BROKER:
            if self._kafka is None:
                raise BenchError("this broker keeps no log: it must not be killed")
            self._kafka.kill()
            self._kafka.start()
        else:
            self._workers.hit(name, signal.SIGTERM if kind.gentle else signal.SIGKILL)

    def _wait_for(self, done: Callable[[], bool], problem: str) -> None:
        if not self.until(done, timeout_s=_RECOVERY_TIMEOUT_S):
            tails = self._workers.log_tails()
            raise NotBack(f"{problem} after {_RECOVERY_TIMEOUT_S:g} s\n{tails}")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
