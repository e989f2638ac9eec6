"""Structured logs on stderr: one line a message, key=value or JSON, libraries quiet.

    logger = logging.getLogger("headwater.recommender")
    logger.info("adapter applied", extra={"fields": {"version": 12, "took_ms": 3.1}})

gives `2026-11-22T14:00:00.123Z info headwater.recommender adapter applied version=12 took_ms=3.1`.
"""

import json
import logging
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TextIO

from streams.log_repeats import Repeats
from streams.redaction import RedactingHandler, Redactor
from streams.settings_groups import ObservabilitySettings

ROOT = "headwater"
_CHATTY = (
    "aiokafka.consumer",
    "aiokafka.conn",
    "aiokafka.cluster",
    "aiokafka.producer",
    "kafka.net",
    "kafka.client",
    "mode.signals",
)
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+@%,")


def setup(
    config: ObservabilitySettings,
    *,
    stream: TextIO | None = None,
    worker: str = "",
    secrets: Collection[str] = (),
    pseudonymous: bool = False,
) -> None:
    """Send all logs of this process to `stream` (stderr), in one format, with `worker` on each line if given,
    and none of `secrets` in any. pseudonymous: no library logs at DEBUG, whatever the level, for there some log the
    bytes of every record, and with them whose they are.

    Headwater's own loggers use `log_level`; all others `library_log_level`; the few that warn about what they
    then retry by themselves ERROR, unless the level asks for more than WARNING. Of what a library says over and
    over, one line in ten seconds is written. May be called again.
    """
    handler = RedactingHandler(stream or sys.stderr, redact=Redactor(secrets))
    handler.setFormatter(JsonLines(worker=worker) if config.log_json else KeyValueLines(worker=worker))
    handler.addFilter(Repeats(ROOT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    hushed = pseudonymous and config.library_log_level == "DEBUG"
    root.setLevel("INFO" if hushed else config.library_log_level)
    logging.getLogger(ROOT).setLevel(config.log_level)
    quiet = logging.ERROR if config.library_log_level == "WARNING" else logging.NOTSET
    for name in _CHATTY:
        logging.getLogger(name).setLevel(quiet)
    logging.captureWarnings(True)


def get_logger(part: str) -> logging.Logger:
    """The logger of a part of the system: `headwater.<part>`."""
    return logging.getLogger(f"{ROOT}.{part}")


class KeyValueLines(logging.Formatter):
    """`time level logger message key=value …`; a traceback follows as one quoted value."""

    def __init__(self, *, worker: str = "") -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record, worker=self._worker)
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        message = record.getMessage().replace("\n", "\\n")
        head = f"{_time(record)} {record.levelname.lower()} {record.name} {message}"
        return " ".join([head, *(f"{key}={_quoted(value)}" for key, value in fields.items())])


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the fields."""

    def __init__(self, *, worker: str = "") -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record, worker=self._worker),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _fields(record: logging.LogRecord, *, worker: str) -> dict[str, object]:
    given = record.__dict__.get("fields", {})
    fields = dict(given) if isinstance(given, Mapping) else {"fields": given}
    return {"worker": worker, **fields} if worker else fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text, ensure_ascii=False)
