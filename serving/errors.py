"""Errors of serving.

HeadwaterError
└── ServingError
    ├── StateFormatError      stored bytes are not a state of this layout
    └── StoreError
        ├── StoreUnavailable  the store does not answer: try again later
        ├── StoreRefused      the store answers and says no: an operator must act
        │   ├── WrongCredentials   user name or password
        │   ├── NotPermitted       the user may not do this
        │   └── UntrustedStore     its certificate is not to be trusted
        └── StaleWriter       another worker has written these partitions since they were read
"""

from collections.abc import Mapping, Sequence

from events.errors import HeadwaterError


class ServingError(HeadwaterError):
    """Anything that serving raises on purpose."""


class StateFormatError(ServingError):
    """Stored bytes are not a state of this layout; `rows` are the places of all such blobs in the batch.

    A caller that would rather lose these users' histories than stop replaces them by None, counts them and
    goes on; otherwise write under a new key prefix and replay the topics from their start.
    """

    def __init__(self, *, rows: Sequence[int], received: str, expected: str) -> None:
        super().__init__(
            f"{len(rows)} stored user state(s) unreadable, first at row {rows[0]}: received {received}; "
            f"expected {expected}. Restore the layout settings that wrote them, or choose a new key prefix "
            "and replay the topics from their start"
        )
        self.rows = tuple(rows)


class StoreError(ServingError):
    """Anything that goes wrong between serving and the user store."""


class StoreUnavailable(StoreError):
    """The store did not answer within its retries. Nothing of a read is known; a write may or may not have
    been applied, and is safe to repeat with the same `batch_id`."""


class StoreRefused(StoreError):
    """The store answered with an error that repeating will not cure: credentials, permissions, memory."""


class WrongCredentials(StoreRefused):
    """The store wants a user name and password, or others than it was given."""


class NotPermitted(StoreRefused):
    """The store knows the user and does not let it run a command or touch a key."""


class UntrustedStore(StoreRefused):
    """The store's certificate is signed by nobody trusted here, names another host, or is out of date."""


class StaleWriter(StoreError):
    """Another worker has moved the watermarks of these partitions: this worker's copies are out of date.

    `found` maps each refused partition to the watermarks (topic -> offset) that the store has now; nothing
    of these partitions was written. `written` are the partitions of the same batch that were. Drop what the
    watermarks already cover, read again and go on; if it repeats, the partition has another owner.
    """

    def __init__(
        self,
        *,
        found: Mapping[int, Mapping[str, int]],
        expected: Mapping[int, Mapping[str, int]],
        written: Sequence[int],
    ) -> None:
        told = "; ".join(
            f"partition {partition}: expected {dict(expected[partition])}, found {dict(watermarks)}"
            for partition, watermarks in sorted(found.items())
        )
        super().__init__(f"another worker has written since the read: {told}")
        self.found = {partition: dict(watermarks) for partition, watermarks in found.items()}
        self.written = tuple(written)
