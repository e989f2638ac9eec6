"""What models raise.

ModelsError (a HeadwaterError)
├── ConfigError        a setting is out of range (also a ValueError)
├── DeviceError        the device asked for is not there
├── ModelLoadError     a pretrained model cannot be loaded
├── InputError         arrays that do not fit together, or are not finite (also a ValueError)
├── AdapterError       a published adapter is damaged, or made for another ranker
├── SnapshotError      a saved learner is damaged, or made by another configuration
└── SnapshotNotSaved   the disk did not take a snapshot; those before it are as they were
"""

from enum import StrEnum

from events.errors import HeadwaterError


class ModelsError(HeadwaterError):
    """Everything that models raise on purpose."""


class ConfigError(ModelsError, ValueError):
    """A setting is out of range."""


class DeviceError(ModelsError):
    """The device asked for is not there."""


class ModelLoadError(ModelsError):
    """A pretrained model cannot be loaded; the message says what to do."""


class InputError(ModelsError, ValueError):
    """Arrays do not fit together, or hold values that are not finite."""


class Refusal(StrEnum):
    """Why an adapter is not used, in a word for the metrics."""

    DAMAGED = "damaged"
    TOO_LARGE = "too-large"
    OTHER_RANKER = "other-ranker"  # made for other features, another backbone or other sizes
    WRONG_SHAPE = "wrong-shape"
    NOT_FINITE = "not-finite"
    SLOW = "slow"


class AdapterError(ModelsError):
    """A published adapter is damaged, or made for another ranker. The ranker kept its weights."""

    def __init__(self, message: str, *, refusal: Refusal = Refusal.DAMAGED) -> None:
        super().__init__(message)
        self.refusal = refusal


class SnapshotError(ModelsError):
    """A saved learner is damaged, or made by another configuration. The learner kept its state."""


class SnapshotNotSaved(ModelsError):
    """The disk did not take a snapshot: full, say. The snapshots before it are as they were."""
