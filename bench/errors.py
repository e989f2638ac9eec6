"""The one error of the bench package."""

from events.errors import HeadwaterError


class BenchError(HeadwaterError):
    """A benchmark cannot be run, or did not come to an end; the message says what was expected of what."""
