"""Keeps the settings' secrets out of the logs, whoever writes them there.

Nothing of ours logs a secret, but libraries may: at DEBUG some write the whole configuration of a client.
"""

import json
import logging
from collections.abc import Collection
from typing import TextIO

MASK = "****"
_LEAST_CHARS = 4  # less than this occurs by chance, and is no secret


class Redactor:
    """Replaces each of some secrets by MASK, also as Python or JSON would quote it.

    >>> Redactor(["hunter2"])("sasl_plain_password='hunter2'")
    "sasl_plain_password='****'"
    """

    def __init__(self, secrets: Collection[str]) -> None:
        long_enough = [secret for secret in secrets if len(secret) >= _LEAST_CHARS]
        forms = {
            form
            for secret in long_enough
            for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], repr(secret.encode())[2:-1])
        }
        self._forms = sorted(forms, key=len, reverse=True)  # so that no longer one is left half

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


class RedactingHandler(logging.StreamHandler[TextIO]):
    """A stream handler whose every line, traceback included, goes through a Redactor."""

    def __init__(self, stream: TextIO, *, redact: Redactor) -> None:
        super().__init__(stream)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))
