"""`headwater chaos`: one system, faults one after the other while a shop goes on, and then the ledger."""

import time
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench.chaos.audit import audit
from bench.chaos.config import ChaosConfig
from bench.chaos.launching import Commands, Forks, Launcher
from bench.chaos.stage import Stage, staged
from bench.chaos.striking import NotBack, Striker, Struck
from bench.chaos.workers import Workers
from bench.errors import BenchError
from bench.machine import Machine
from bench.report import BenchReport
from events.topics import Topic
from load.chaos.answered import Answered
from load.chaos.feeding import Feeder, Stream
from load.chaos.findings import Verdict, Wrong
from load.chaos.listening import Listener
from load.chaos.schedule import schedule
from load.progress import Moment, Silent, Watcher
from streams.learner_parts import learnt_from
from streams.roles import group_of
from streams.settings import Settings
from streams.topics import ensure, specs

_START_TIMEOUT_S = 240.0
_BACKLOG_SETTLES = 5  # a learner that is behind may take so many times settle_s, while it publishes
_QUIET_S = 12.0  # without a new adapter or a record acked, on a machine that has other work too


@dataclass(frozen=True, slots=True)
class ChaosOutcome:
    """What was done, and what the ledger says of it."""

    config: ChaosConfig
    struck: tuple[Struck, ...]
    verdict: Verdict
    crashes: dict[str, list[str]]  # of workers that nobody had hit
    seconds: float
    stopped: str | None = None  # why the schedule was not gone through to its end

    @property
    def clean(self) -> bool:
        """Whether every process came back from every fault, and the ledger found nothing."""
        return self.verdict.clean and self.stopped is None

    @property
    def recovery_s(self) -> dict[str, dict[str, float]]:
        """By kind of fault: how many were waited for, their median and their longest recovery."""
        times: dict[str, list[float]] = defaultdict(list)
        for one in self.struck:
            if one.recovery_s is not None:
                times[one.kind.value].append(one.recovery_s)
        return {
            kind: {"n": len(found), "p50": sorted(found)[(len(found) - 1) // 2], "max": max(found)}
            for kind, found in sorted(times.items())
        }

    def report(self, machine: Machine) -> BenchReport:
        """The figures; `recovery_s` and the three numbers are at the top level of the JSON."""
        config, verdict = self.config, self.verdict
        return BenchReport(
            name="chaos",
            figures={
                "kills": len(self.struck),
                **{wrong.value: verdict.count(wrong) for wrong in Wrong},
                "recovery_s": self.recovery_s,
                "seed": config.seed,
            },
            details={
                "stopped": self.stopped,
                "first_finding": str(verdict.first) if verdict.first else None,
                "checked": verdict.checked,
                "seconds": round(self.seconds, 1),
                "in_a_hurry": sum(one.recovery_s is None for one in self.struck),
                "crashes": {name: len(ends) for name, ends in self.crashes.items()},
                "faults": [{**asdict(one), "kind": one.kind.value} for one in self.struck],
            },
            settings={
                "broker": "Apache Kafka" if config.broker == "kafka" else "embedded (tansu)",
                "size": config.size,
                "start": config.start,
                "recommenders": config.recommenders,
                "rate": config.rate,
                "skip": config.skip,
                "duplicates": config.duplicates,
                "poison": config.poison,
            },
            notes=(
                "recovery: from the signal until every worker is ready and the hit role has answered something "
                "that was sent after the signal; faults that the next one overtook have none",
            ),
            machine=machine,
        )


def run_chaos(
    config: ChaosConfig, *, settings: Settings, watcher: Watcher | None = None, forks: Forks | None = None
) -> ChaosOutcome:
    """Run it; `forks` is a template that is ready, where a caller has one. A worker that does not come back
    ends the schedule, not the run. BenchError when the system does not start at all."""
    faults = schedule(config.kills, seed=config.seed, kinds=config.drawn, calm_s=config.calm_s)
    started_s = time.monotonic()
    with ExitStack() as stack:
        shown = stack.enter_context(watcher or Silent())

        def show(phase: str, share: float | None = None, line: str = "") -> None:
            shown.show(Moment(phase, time.monotonic() - started_s, share, line))

        show("starting the servers")
        stage = stack.enter_context(staged(config, settings))
        ensure(stage.settings.kafka)
        launcher: Launcher
        if config.start == "command":
            launcher = Commands()
        else:
            show("importing the program once")
            launcher = forks or stack.enter_context(Forks(log=stage.folder / "template.log"))
        stack.callback(launcher.close)
        log_dir = (config.logs or stage.folder).resolve()
        log_dir.mkdir(parents=True, exist_ok=True)
        workers = Workers(
            config.names,
            settings=stage.settings,
            launcher=launcher,
            entry=config.entry,
            log_dir=log_dir,
        )
        show("starting the workers")
        answered, listener, feeder = _shop(config, stage, stack)

        def check() -> None:
            listener.check()
            feeder.check()

        striker = Striker(
            workers,
            kafka=stage.kafka,
            feeder=feeder,
            answered=answered,
            check=check,
        )
        if not striker.until(lambda: striker.ready(config.names), timeout_s=_START_TIMEOUT_S):
            raise BenchError(f"the workers are not ready\n{workers.log_tails()}")
        feeder.start()
        struck: list[Struck] = []
        stopped = None
        for number, fault in enumerate(faults):
            show("killing", number / len(faults), f"{number} of {len(faults)}, next: {fault.kind}")
            try:
                struck.append(striker.strike(fault, number=number, names=config.names))
            except NotBack as error:  # the ledger is asked all the same
                stopped = f"fault {number} ({fault.kind}): {error}"
                break
        show("settling", 1.0)
        feeder.stop()
        _settle(config, stage=stage, striker=striker, answered=answered)
        workers.stop()
        crashes = workers.crashes
        listener.close()
        feeder.close()
        show("the ledger", 1.0)
        verdict = audit(config, stage=stage, launcher=launcher)
    seconds = time.monotonic() - started_s
    return ChaosOutcome(config, tuple(struck), verdict, crashes, seconds, stopped)


def _shop(config: ChaosConfig, stage: Stage, stack: ExitStack) -> tuple[Answered, Listener, Feeder]:
    """What feeds and what listens; the listener listens already."""
    kafka = stage.settings.kafka
    answered = Answered(prefix=kafka.topic_prefix)
    listener = Listener(
        kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        topics=[Topic.RECOMMENDATIONS.value, Topic.ADAPTERS.value, Topic.ITEM_VECTORS.value],
        prefix=kafka.topic_prefix,
        heard=answered.heard,
    )
    listener.start()
    stack.callback(listener.close)
    feeder = Feeder(
        Stream(
            config.events,
            config.items,
            skip=config.skip,
            rate=config.rate,
            duplicates=config.duplicates,
            poison=config.poison,
        ),
        bootstrap=kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        prefix=kafka.topic_prefix,
        answered=answered,
        seed=config.seed,
    )
    stack.callback(feeder.close)
    return answered, listener, feeder


def _settle(config: ChaosConfig, *, stage: Stage, striker: Striker, answered: Answered) -> None:
    """Wait until all are ready, nothing waits, and the learner has been quiet for a while; what is then not there
    is for the ledger to find."""
    striker.until(lambda: striker.ready(config.names), timeout_s=config.settle_s)

    def quiet() -> bool:
        events = answered.events_waiting if "recommender" in config.roles else 0
        return events + (answered.items_waiting if "encoder" in config.roles else 0) == 0

    striker.until(quiet, timeout_s=config.settle_s)
    if "learner" not in config.roles:
        return
    seen: tuple[int, int] = (-1, -1)
    since_s = time.monotonic()
    deadline = since_s + _BACKLOG_SETTLES * config.settle_s
    with closing(_learner_group(stage)) as group:
        while time.monotonic() < min(deadline, since_s + _QUIET_S):
            if (now := (answered.mark(time.monotonic()), _taken(group, stage=stage))) != seen:
                seen, since_s = now, time.monotonic()
            striker.wait(0.5)


def _learner_group(stage: Stage) -> Consumer:
    """Asks for the offsets of the learner's group, and never joins it."""
    kafka = stage.settings.kafka
    group = group_of("learner", topic_prefix=kafka.topic_prefix)
    return Consumer({**kafka.confluent(), "group.id": group, "enable.auto.commit": False})


def _taken(group: Consumer, *, stage: Stage) -> int:
    """How many records the learner has acked: one that is restarted publishes nothing new for as long as it goes
    again through what it has learnt since its snapshot."""
    kafka = stage.settings.kafka
    topics = learnt_from(stage.settings).values()
    places = [
        TopicPartition(specs(kafka)[topic].name, partition)
        for topic in topics
        for partition in range(specs(kafka)[topic].partitions)
    ]
    try:
        committed = group.committed(places, timeout=5.0)
    except KafkaException:
        return -1
    return sum(max(0, place.offset) for place in committed)
