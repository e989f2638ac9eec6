"""What the index package raises.

IndexFault
├── SnapshotError   saved arrays do not fit the object that should take them
└── CapacityError   one batch names more distinct ids than there are rows
"""

from events.errors import HeadwaterError


class IndexFault(HeadwaterError):
    """Base of every error that the index package raises on purpose."""


class SnapshotError(IndexFault):
    """Saved arrays do not fit: a name, a shape, a dtype or a value range differs. Nothing was changed."""


class CapacityError(IndexFault):
    """One batch needs more rows than exist. Nothing was changed."""
