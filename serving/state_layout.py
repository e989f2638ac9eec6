"""Where each word of a user's state lies, and the settings that say how states change.

A state is one row of int64 words:

    header (16) | seen ids (`seen`) | session slots (`session` x 3) | history slots (`history` x 5)

Session slots are the current session's interactions and history slots the user's distinct items, both most
recent first and filled from the front. Words beyond the counts in the header are zero.

Compiled kernels hold these numbers as constants: after a change here, touch the files of the kernels too, or
numba's cache goes on with the old ones.
"""

from dataclasses import dataclass

STATE_VERSION = 1

# Header words.
FORMAT = 0  # StateLayout.format_word: version and sizes
USER = 1  # stable_hash of the user id
FIRST_MS = 2  # earliest event time, 0 before the first event
LAST_MS = 3  # latest event time, 0 before the first event
EVENTS = 4  # events applied
IMPRESSIONS = 5  # items shown
PURCHASES = 6  # purchase events
SESSION_ID = 7  # stable_hash of the current session id, 0 where none was given
SESSION_START_MS = 8  # 0 where there is no session yet
SESSION_LAST_MS = 9
SESSION_COUNT = 10  # filled session slots
HISTORY_COUNT = 11  # filled history slots
SEEN_COUNT = 12  # event ids ever pushed on the ring; the next goes to SEEN_COUNT % seen
TOPIC = 13  # place in the log of the last event applied, -1 where it is unknown
PARTITION = 14
OFFSET = 15
HEADER = 16

# Words of a session slot.
SESSION_ITEM, SESSION_MS, SESSION_KIND = 0, 1, 2
SESSION_SLOT = 3

# Words of a history slot.
ITEM = 0
ITEM_FIRST_MS = 1
ITEM_LAST_MS = 2
COUNTS = 3  # views in bits 0-23, purchases in bits 24-47, Kind of the last touch from bit 48
DECAYED = 4  # frequency decayed to ITEM_LAST_MS, in units of 1 / ONE
HISTORY_SLOT = 5

COUNT_BITS = 24
COUNT_MAX = (1 << COUNT_BITS) - 1  # counts stop here, which float32 still holds exactly
ONE_BITS = 24
ONE = 1 << ONE_BITS  # fixed point 1.0
DECAYED_MAX = 1 << 38  # 16,384.0: times ONE it still fits a word


@dataclass(frozen=True, slots=True)
class StateLayout:
    """How much is kept of a user. Part of the stored format: a change means a replay."""

    session: int = 24  # L: interactions kept of the current session
    history: int = 256  # T: distinct items kept of a user
    seen: int = 16  # event ids remembered, to drop a producer's duplicates

    def __post_init__(self) -> None:
        for name in self.__slots__:
            size = getattr(self, name)
            if not 2 <= size <= 4096:
                raise ValueError(f"StateLayout.{name} is {size}; it must be from 2 to 4096")

    @property
    def session_at(self) -> int:
        """First word of the session slots."""
        return HEADER + self.seen

    @property
    def history_at(self) -> int:
        """First word of the history slots."""
        return self.session_at + self.session * SESSION_SLOT

    @property
    def words(self) -> int:
        """W: words of a row."""
        return self.history_at + self.history * HISTORY_SLOT

    @property
    def format_word(self) -> int:
        """What the first word of every state of this layout says."""
        return STATE_VERSION << 48 | self.seen << 32 | self.session << 16 | self.history


@dataclass(frozen=True, slots=True)
class FoldConfig:
    """How events change a state."""

    session_gap_ms: int = 30 * 60_000  # longer without an event starts a new session
    half_life_ms: int = 60 * 86_400_000  # of the decayed frequency, in event time
    click_weight: float = 0.25  # what one click adds to the decayed frequency
    cart_weight: float = 0.5
    purchase_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.session_gap_ms < 1:
            raise ValueError(f"FoldConfig.session_gap_ms is {self.session_gap_ms}; it must be at least 1")
        if not 1_000 <= self.half_life_ms <= 1 << 40:
            raise ValueError(f"FoldConfig.half_life_ms is {self.half_life_ms}; it must be from 1000 to 2**40")
        for name in ("click_weight", "cart_weight", "purchase_weight"):
            if not 0.0 <= getattr(self, name) <= 16.0:
                raise ValueError(f"FoldConfig.{name} is {getattr(self, name)}; it must be from 0 to 16")
