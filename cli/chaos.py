"""`headwater chaos`: kill everything, again and again, and count what is lost."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.machine import Machine
from cli.context import context_of
from load.progress import watcher_for


def chaos(
    context: typer.Context,
    kills: Annotated[int, typer.Option(min=1, help="Faults, one after the other.")] = 25,
    seed: Annotated[int, typer.Option(min=0, help="Of the schedule and of the traffic.")] = 1,
    broker: Annotated[
        Literal["embedded", "kafka"],
        typer.Option(
            help="embedded: memory only, so it is never killed. kafka: an Apache Kafka started from KAFKA_HOME, "
            "which is killed too and started again on its data."
        ),
    ] = "embedded",
    kafka_home: Annotated[
        Path | None, typer.Option(envvar="KAFKA_HOME", help="A folder with Apache Kafka's jars in libs/.")
    ] = None,
    size: Annotated[
        Literal["small", "shipped"],
        typer.Option(
            help="shipped: the settings as they are. small: small arrays, no transformer, and adapters and "
            "snapshots so often that a kill hits one."
        ),
    ] = "small",
    start: Annotated[
        Literal["fork", "command"],
        typer.Option(
            help="How a worker is started again: by its command, which pays for its imports, or as a fork of a "
            "process that has imported the program."
        ),
    ] = "fork",
    recommenders: Annotated[int, typer.Option(min=1, max=4, help="Recommender workers.")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="Events a second, beside the bursts.")] = 20.0,
    skip: Annotated[int, typer.Option(min=0, help="Leave out the stream's first so many events.")] = 0,
    calm: Annotated[
        float, typer.Option(min=0, help="Seconds between recovery and the next, on average.")
    ] = 1.0,
    logs: Annotated[Path | None, typer.Option(help="Keep the workers' logs in this folder.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report here, as JSON.")] = None,
) -> None:
    """Kill any process at random moments of a replay, and prove that every event counted exactly once.

    Recommender, learner and encoder run as processes of their own while the shipped shop's events come at a steady
    rate, some of them twice and some broken. A schedule that the seed decides sends SIGKILL (or SIGTERM, or kills
    the broker) between batches or into a burst, mostly after the last victim has recovered, sometimes before.

    Then everything is read raw, from the topics and from Redis, and compared: each user's state with a plain fold
    of the log; each event with the slates that have seen it, and each slate's id with its event; each item with its
    vector; each broken record with the dead letters; each adapter, bit for bit, with those of a learner that takes
    the same log in the same order and is never disturbed.

    Prints lost / duplicated / diverged = 0 / 0 / 0 and ends with code 0; or the first offending offset with its
    history, and code 1, as it does when a process does not come back at all.
    """
    from bench.chaos.config import ChaosConfig
    from bench.chaos.run import run_chaos

    config = ChaosConfig(
        kills=kills,
        seed=seed,
        broker=broker,
        kafka_home=kafka_home,
        size=size,
        start=start,
        recommenders=recommenders,
        rate=rate,
        skip=skip,
        calm_s=calm,
        logs=logs,
    )
    machine = Machine.describe()
    outcome = run_chaos(config, settings=context_of(context).settings(), watcher=watcher_for())
    outcome.report(machine).publish(json)
    print(outcome.verdict.line())
    for problem in (outcome.verdict.first, outcome.stopped):
        if problem is not None:
            print(problem)
    if not outcome.clean:
        raise typer.Exit(1)
