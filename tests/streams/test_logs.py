import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from streams.log_repeats import Repeats
from streams.logs import get_logger, setup
from streams.settings import ObservabilitySettings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging is the process's own; give it back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def _lines(
    *,
    json_lines: bool = False,
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO",
    worker: str = "",
) -> io.StringIO:
    stream = io.StringIO()
    setup(ObservabilitySettings(log_json=json_lines, log_level=level), stream=stream, worker=worker)
    return stream


def test_fields_stand_behind_the_message_and_are_quoted_where_needed() -> None:
    stream = _lines(worker="r1")
    fields = {"version": 12, "took_ms": 3.14159265, "why": 'say "so"', "empty": ""}
    get_logger("recommender").info("adapter applied", extra={"fields": fields})
    [line] = stream.getvalue().splitlines()
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == (
        "info headwater.recommender adapter applied worker=r1 version=12 took_ms=3.14159 "
        'why="say \\"so\\"" empty=""'
    )


def test_json_lines_are_objects() -> None:
    stream = _lines(json_lines=True, worker="r1")
    get_logger("learner").warning("step %s", "guarded", extra={"fields": {"norm": 12.5}})
    line = json.loads(stream.getvalue())
    assert {key: line[key] for key in ("level", "logger", "message", "worker", "norm")} == {
        "level": "warning",
        "logger": "headwater.learner",
        "message": "step guarded",
        "worker": "r1",
        "norm": 12.5,
    }


@pytest.mark.parametrize("json_lines", [False, True])
def test_message_and_traceback_stay_on_one_line(json_lines: bool) -> None:
    stream = _lines(json_lines=json_lines)
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        get_logger("learner").exception("a\nb")
    [line] = stream.getvalue().splitlines()
    assert "ValueError: broken" in line


def test_libraries_are_quiet_and_headwater_is_not() -> None:
    stream = _lines()
    logging.getLogger("faust.worker").info("starting")
    logging.getLogger("aiokafka.conn").warning("will retry by itself")
    logging.getLogger("aiokafka.conn").error("gave up")
    get_logger("recommender").info("ready")
    assert [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()] == [
        "aiokafka.conn gave up",
        "headwater.recommender ready",
    ]


def test_level_holds_back_headwaters_own_messages() -> None:
    stream = _lines(level="WARNING")
    get_logger("recommender").info("ready")
    assert stream.getvalue() == ""


def test_last_setup_counts() -> None:
    first, second = _lines(), _lines()
    get_logger("recommender").info("ready")
    assert first.getvalue() == ""
    assert "ready" in second.getvalue()


def test_a_library_that_repeats_itself_is_heard_once_in_a_while_and_counted() -> None:
    now_s = 100.0
    repeats = Repeats("headwater", every_s=10, now_s=lambda: now_s)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(repeats)
    library, other, own = (logging.Logger(name) for name in ("aiokafka", "aiokafka.conn", "headwater.worker"))
    for logger in (library, other, own):
        logger.addHandler(handler)
    for number in range(5):
        library.error("no connection to %s", number)
        own.error("mine %d", number)
    library.error("another kind")
    other.error("no connection to %s", "another logger's")
    now_s = 110.0
    library.error("no connection to %s", 5)
    assert [line for line in stream.getvalue().splitlines() if not line.startswith("mine")] == [
        "no connection to 0",
        "another kind",
        "no connection to another logger's",
        "no connection to 5 (and 4 more like it)",
    ]
    assert stream.getvalue().count("mine") == 5


def test_kinds_of_lines_are_not_remembered_for_ever() -> None:
    repeats = Repeats("headwater")
    for number in range(2_000):
        repeats.filter(logging.LogRecord("lib", logging.ERROR, "", 0, f"made {number}", (), None))
    assert len(repeats._kinds) <= 256


def test_what_is_written_goes_through_it() -> None:
    stream = _lines()
    for _ in range(3):
        logging.getLogger("aiokafka").error("no connection")
    assert stream.getvalue().count("no connection") == 1


def test_messages_of_nothing_but_arguments_are_told_apart_by_them() -> None:
    stream = _lines()
    for text in ("old", "old", "slow"):
        logging.getLogger("py.warnings").warning("%s", text)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["old", "slow"]
