"""What a benchmark says while it runs: a line on standard error for each thing that it begins."""

import sys
import time
from collections.abc import Callable

Tell = Callable[[str], None]


def tell_on_stderr() -> Tell:
    """A teller that puts the seconds since it was made before each line."""
    started = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    return tell


def silent(_text: str) -> None:
    """Says nothing."""
