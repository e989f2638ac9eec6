"""What every command gets: the settings, and errors that say what to do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from events.errors import HeadwaterError
from streams.errors import SettingsError
from streams.settings import Settings, load


@dataclass(frozen=True, slots=True)
class Context:
    """The options before the command's name."""

    config: Path | None = None

    def settings(self) -> Settings:
        return load(config=self.config)

    def connected(self) -> Settings:
        """Settings that name a broker; SettingsError where they don't."""
        settings = self.settings()
        if settings.kafka.embedded:
            raise SettingsError(
                "no broker is configured: set KAFKA_BOOTSTRAP_SERVERS=host:port (`headwater up` prints the "
                "address of the one it starts)"
            )
        return settings


def context_of(context: typer.Context) -> Context:
    """The command's Context."""
    if not isinstance(context.obj, Context):
        raise TypeError("the command was called without its application")
    return context.obj


@contextmanager
def fail_clearly() -> Iterator[None]:
    try:
        yield
    except HeadwaterError as error:
        print(f"headwater: {error}", file=sys.stderr)
        raise SystemExit(2) from None
