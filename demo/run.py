"""`headwater demo`: the whole system on this machine, fed with a real shop's purchases, watched live."""

import asyncio
import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live

from demo.board import Board
from demo.report import report_of, summary
from demo.view import plain_line, screen
from events.codec import encode
from events.topics import Topic
from events.types import CatalogueItem
from load.catalogue import read_items
from load.replay import run_replay
from load.replay_config import ReplayConfig
from load.report import ReplayReport
from streams.log_reader import LogReader
from streams.publisher import Publisher, Record
from streams.roles import ACCESS
from streams.settings import Settings
from streams.supervisor import Event, What
from streams.system import System, servers
from streams.topics import specs, topic_name, topics_read
from streams.warming import warm_up

PARTITIONS = 4
_PLAIN_EVERY_S = 5.0
_FRAME_S = 0.5
_LEARN_S = 60.0  # how long the report waits for a learner that is behind
_FOOTER = "headwater demo"


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """How long, how fast, and where the report goes."""

    duration_s: float | None = None  # of the stream; None: until Ctrl-C
    rate: float = 100.0  # events a second
    report: Path | None = None
    screenshot: Path | None = None  # the last screen, as SVG


def run_demo(config: DemoConfig, *, settings: Settings) -> None:
    """Run until the duration is over or Ctrl-C, then print the report and write it."""
    console = Console(stderr=False)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headwater-demo-")))
        say = _sayer(console)
        say("compiling the kernels (a minute the first time, then seconds)")
        warm_up()
        say("starting a Kafka broker and Redis on this machine")
        running = stack.enter_context(servers(_demo_settings(settings, folder), log_dir=folder))
        say("starting a recommender, a learner and an encoder")
        system = stack.enter_context(
            System(running, log_dir=folder, on_event=lambda event: _tell(event, say))
        )
        system.wait_ready()
        demo = _Demo(config, settings=running, system=system, console=console, stop=stop)
        items = read_items(_data("online_retail_ii_items.parquet"))
        demo.load_catalogue(items, say)
        report = demo.watch({item.item_id: item.item_name for item in items})
    console.print(summary(report))
    if config.report is not None:
        config.report.write_text(json.dumps(report, indent=2) + "\n")
        console.print(f"report: {config.report}", highlight=False)


class _Demo:
    """The stream, the reader that watches the topics, and the screen."""

    def __init__(
        self,
        config: DemoConfig,
        *,
        settings: Settings,
        system: System,
        console: Console,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._settings = settings
        self._system = system
        self._console = console
        self._stop = stop

    def load_catalogue(self, items: list[CatalogueItem], say: Callable[[str], None]) -> None:
        """Publish every item, and wait until the recommender can find it by its text."""
        say(f"encoding {len(items):,} titles of the catalogue with a sentence transformer")
        topic = topic_name(Topic.ITEMS, kafka=self._settings.kafka)
        records = [Record(topic, item.item_id.encode(), encode(item)) for item in items]
        with Publisher(self._settings.kafka.confluent()) as publisher:
            asyncio.run(publisher.send(records))
        wanted = sum(bool(item.text()) for item in items)
        told_s = time.monotonic()
        while not self._stop.is_set():
            done = int(self._system.metric("recommender-1", "headwater_index_items"))
            if done >= wanted:
                return
            if time.monotonic() - told_s >= _PLAIN_EVERY_S:
                told_s = time.monotonic()
                say(f"  {done:,} of {wanted:,} titles")
            time.sleep(0.2)

    def watch(self, titles: dict[str, str]) -> dict[str, object]:
        """Replay, and show what happens; the report."""
        kafka = self._settings.kafka
        read = (Topic.PURCHASES, Topic.RECOMMENDATIONS, Topic.ADAPTERS)
        board = Board({topic_name(topic, kafka=kafka): topic for topic in read})
        reader = LogReader(
            kafka.confluent(),
            partitions={specs(kafka)[topic].name: specs(kafka)[topic].partitions for topic in read},
            handle=board.take,
            failed=lambda _error: self._stop.set(),
            name="demo",
        )
        outcome: list[ReplayReport] = []
        stream = threading.Thread(target=lambda: outcome.append(self._replay()), name="replay", daemon=True)
        reader.start()
        board.start_clock()
        stream.start()
        try:
            if self._console.is_terminal:
                self._live(board, stream=stream, titles=titles)
            else:
                self._lines(board, stream=stream)
            if outcome:
                self._let_learn(outcome[0].counts.sent)
        finally:
            self._stop.set()
            stream.join(60)
            reader.stop()
        if self._config.screenshot is not None:
            save_screenshot(self._config.screenshot, screen(board.glance(), titles, footer=_FOOTER))
        return report_of(outcome[0] if outcome else None, board=board, rate=self._config.rate)

    def _let_learn(self, sent: int) -> None:
        """Wait until the learner has gone through all that was sent: on a busy machine it may be behind."""
        topics = topics_read(self._settings.kafka, *ACCESS["learner"].reads)
        taken = [f'headwater_events_total{{topic="{name}"}}' for name in topics]
        deadline = time.monotonic() + _LEARN_S
        told = False
        while sum(self._system.metric("learner", series) for series in taken) < sent:
            if not told:
                self._console.print("the stream is through; the learner catches up with it", highlight=False)
                told = True
            if self._stop.wait(_FRAME_S) or time.monotonic() > deadline:
                return

    def _replay(self) -> ReplayReport:
        kafka = self._settings.kafka
        return run_replay(
            ReplayConfig(
                path=_data("online_retail_ii.parquet"),
                rate=self._config.rate,
                duration_s=self._config.duration_s,
                topic_prefix=kafka.topic_prefix,
            ),
            bootstrap=kafka.bootstrap_servers,
            kafka=kafka.kafka_python(),
            stop=self._stop,
        )

    def _live(self, board: Board, *, stream: threading.Thread, titles: dict[str, str]) -> None:
        hint = "Ctrl-C ends it" if self._config.duration_s is None else "ends by itself"
        with Live(console=self._console, auto_refresh=False, screen=False) as live:
            while stream.is_alive() or (self._config.duration_s is None and not self._stop.is_set()):
                done = "" if stream.is_alive() else "the stream is through · "
                live.update(screen(board.glance(), titles, footer=f"{done}{hint}"), refresh=True)
                if self._stop.wait(_FRAME_S):
                    break

    def _lines(self, board: Board, *, stream: threading.Thread) -> None:
        while stream.is_alive():
            stream.join(_PLAIN_EVERY_S)
            self._console.print(plain_line(board.glance()), highlight=False, soft_wrap=True)
            if self._stop.is_set():
                return


def _demo_settings(settings: Settings, folder: Path) -> Settings:
    """The user's settings, made small and quick for one machine; on a real broker the topics get a prefix."""
    kafka: dict[str, object] = {"partitions": PARTITIONS}
    kafka |= (
        {"session_timeout_s": 2.0, "heartbeat_s": 0.5}
        if settings.kafka.embedded
        else {"topic_prefix": f"demo-{int(time.time())}-"}
    )
    redis = {} if settings.redis.embedded else {"prefix": f"demo-{int(time.time())}"}
    return settings.updated(
        kafka=kafka,
        redis=redis,
        serving={"repeat": True},
        learner={"snapshot_dir": str(folder / "snapshots"), "publish_every_batches": 4},
        sources={"items": 8_192, "users": 16_384, "sessions": 65_536, "item_sessions": 64},
    )


def save_screenshot(path: Path, shown: RenderableType) -> None:
    """Write what a terminal of 118 columns would show, as SVG."""
    console = Console(record=True, width=118, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(shown)
    console.save_svg(str(path), title="headwater demo")


def _sayer(console: Console) -> Callable[[str], None]:
    started_s = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started_s:6.1f} s  {text}", highlight=False)

    return say


def _tell(event: Event, say: Callable[[str], None]) -> None:
    if event.what in (What.CRASHED, What.CRASH_LOOP):
        say(f"{event.child} {event.what}: {event.detail}; started again in {event.delay_s:g} s")


def _data(name: str) -> Path:
    return Path(str(files("demo"))) / "data" / name
