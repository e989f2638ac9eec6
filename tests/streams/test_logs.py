import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

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
