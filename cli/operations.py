"""Commands that run or look after the system: demo, up, worker, topics, schema, doctor, warm-up."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from cli.context import context_of
from events import schema as event_schema
from events.clock import SystemClock
from streams import doctor as checks
from streams.logs import setup
from streams.settings import Settings, misspelt_variables
from streams.supervisor import Event, What
from streams.system import System, servers
from streams.topics import ensure, inspect

topics = typer.Typer(no_args_is_help=True, help="Create the topics, or compare them with the settings.")


def demo(
    context: typer.Context,
    duration: Annotated[
        float | None, typer.Option(help="End after so many seconds; default: Ctrl-C.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the final report here, as JSON.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 100.0,
    screenshot: Annotated[Path | None, typer.Option(help="Write the last screen here, as SVG.")] = None,
) -> None:
    """Watch Headwater learn: two years of a real shop's purchases through Kafka, recommendations changing live."""
    from demo.run import DemoConfig, run_demo

    run_demo(
        DemoConfig(duration_s=duration, report=report, rate=rate, screenshot=screenshot),
        settings=context_of(context).settings(),
    )


def up(
    context: typer.Context,
    recommenders: Annotated[int, typer.Option(min=1, help="Recommender workers.")] = 1,
    logs: Annotated[
        Path | None, typer.Option(help="Folder for the workers' logs; default: a new one.")
    ] = None,
) -> None:
    """Run the whole system on this machine until Ctrl-C: workers under a supervisor, and an embedded broker and
    Redis where none is configured."""
    console = Console()
    settings = context_of(context).settings()

    def tell(event: Event) -> None:
        wait = f", again in {event.delay_s:g} s" if event.what in (What.CRASHED, What.CRASH_LOOP) else ""
        console.print(f"{event.child}: {event.what}{wait} {event.detail}", highlight=False, markup=False)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        servers(settings) as found,
        _folder_of_the_learner(found, in_memory=settings.kafka.embedded) as running,
        System(running, recommenders=recommenders, log_dir=logs, on_event=tell) as system,
    ):
        console.print(
            f"broker  {running.kafka.bootstrap_servers}\nredis   {running.redis.options().address}\n"
            f"logs    {system.log_dir}\nlearner {Path(running.learner.snapshot_dir).absolute()}",
            highlight=False,
        )
        for name, port in system.metrics_ports.items():
            console.print(f"{name}: http://127.0.0.1:{port}/metrics", highlight=False)
        told = False
        while not stop.wait(0.5):
            if not told and len(system.ready()) == len(system.metrics_ports):
                told = True
                console.print(
                    "ready. In another terminal: "
                    f"KAFKA_BOOTSTRAP_SERVERS={running.kafka.bootstrap_servers} headwater simulate",
                    highlight=False,
                )


@contextmanager
def _folder_of_the_learner(settings: Settings, *, in_memory: bool) -> Iterator[Settings]:
    """Settings whose learner keeps its snapshots as long as the broker keeps its log."""
    if not in_memory:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="headwater-learner-", ignore_cleanup_errors=True) as folder:
        yield settings.updated(learner={"snapshot_dir": folder})


def worker(
    context: typer.Context,
    role: Annotated[Literal["recommender", "encoder", "learner"], typer.Option(help="What the worker does.")],
) -> None:
    """Run one worker. It exits with an error rather than lose an event: run it under `headwater up`, or under
    whatever restarts your services."""
    from streams.workers import run_worker

    settings = context_of(context).connected()
    setup(
        settings.observability,
        worker=role,
        secrets=settings.secrets(),
        pseudonymous=settings.privacy.pseudonymise,
    )
    run_worker(settings, role=role)


@topics.command("ensure")
def ensure_topics(context: typer.Context) -> None:
    """Create the topics that are missing; existing ones are compared, never changed."""
    report = ensure(context_of(context).connected().kafka)
    for name in report.created:
        print(f"created  {name}")
    for name in report.present:
        print(f"present  {name}{'  ' + report.differences[name] if name in report.differences else ''}")


@topics.command("list")
def list_topics(context: typer.Context) -> None:
    """Compare the topics with the settings; changes nothing."""
    report = inspect(context_of(context).connected().kafka)
    for name in report.present:
        print(f"{name}: {report.differences.get(name, 'as the settings want it')}")
    missing = {name: text for name, text in report.differences.items() if name not in report.present}
    for name, text in missing.items():
        print(f"{name}: {text}")
    raise typer.Exit(1 if report.refused else 0)


def schema(
    folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path("docs/schema"),
) -> None:
    """Write the event contract as AsyncAPI 3 and JSON Schema, generated from the types."""
    for path in event_schema.write(folder):
        print(path)


def doctor(context: typer.Context) -> None:
    """Check settings, broker, topics, Redis, clocks, model files and disk, and say what to do."""
    settings = context_of(context).settings()

    def load_models() -> str:
        from models.encoder import TextEncoder

        encoder = TextEncoder(settings.learner.encoder, threads=settings.learner.threads)
        return f"{settings.learner.encoder}, {encoder.dim} dimensions"

    found = checks.run(settings, clock=SystemClock(), load_models=load_models, misspelt=misspelt_variables())
    table = Table(show_header=False, box=None, pad_edge=False)
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    for check in found:
        text = check.detail + (f"\n→ {check.what_to_do}" if check.what_to_do else "")
        table.add_row(f"[{colours[check.status]}]{check.status}", check.name, text)
    Console().print(table)
    raise typer.Exit(1 if any(check.status == "fail" for check in found) else 0)


def warm_up() -> None:
    """Compile the kernels, so that no first click waits for it; about a minute, once per machine and version."""
    from streams.warming import warm_up as compile_kernels

    started = time.monotonic()
    compile_kernels()
    print(f"kernels ready after {time.monotonic() - started:.1f} s")
