"""Stand-ins for shopper ids: a keyed hash in place of every user id and session id, from the decoder on.

What is kept or told of a shopper (Redis, slates, snapshots, logs) then names the pseudonym only. Whoever has the
key can make a shopper's pseudonym; without it nobody can, nor turn one back by trying ids.
"""

import hmac
from collections.abc import Sequence

from msgspec.structs import force_setattr

from events.errors import HeadwaterError
from events.ids import UserId
from events.types import AnyUserEvent

MIN_KEY_BYTES = 16
_DIGITS = 32
_SESSION, _MARK = (
    b"\x00session\x00",
    b"\x00mark",
)  # no id has control characters, so these never meet a user's


class WeakKey(HeadwaterError):
    """A key that is too short to hide anything."""


class Pseudonyms:
    """Pseudonyms under one key, those of up to `limit` ids remembered.

    A user's pseudonym is the first 32 hexadecimal digits of HMAC-SHA256(key, user id in UTF-8), which a
    storefront can make in any language. Equal in every process that has the key. Threads may share one.

    >>> Pseudonyms(b"sixteen bytes or more").user("17850")
    '2708c40aab75f930b7f1ddd871d2cc94'
    """

    def __init__(self, key: bytes, *, limit: int = 200_000) -> None:
        """WeakKey for less than MIN_KEY_BYTES of key; the message does not hold it."""
        if len(key) < MIN_KEY_BYTES:
            raise WeakKey(f"the key has {len(key)} bytes; it must have at least {MIN_KEY_BYTES}")
        if limit < 1:
            raise ValueError(f"Pseudonyms got limit {limit}; it must be at least 1")
        self._key = key
        self._limit = limit
        self._users: dict[str, UserId] = {}
        self._sessions: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Pseudonyms({len(self)} remembered)"

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._users) + len(self._sessions)

    @property
    def mark(self) -> str:
        """Stands for the key: equal for equal keys, and tells nothing about it."""
        return self._hash(_MARK)

    def user(self, user_id: str) -> UserId:
        """The user's pseudonym."""
        known = self._users.get(user_id)
        if known is None:
            self._make_room()
            known = self._users[user_id] = UserId(self._hash(user_id.encode()))
        return known

    def rename(self, events: Sequence[AnyUserEvent]) -> None:
        """Put pseudonyms in place of the events' user and session ids.

        In place, once, and only on events that nobody else holds: a copy of each would cost more than decoding it.
        """
        for event in events:
            force_setattr(event, "user_id", self.user(event.user_id))
            if event.session_id is not None:
                force_setattr(event, "session_id", self._session(event.session_id))

    def _session(self, session_id: str) -> str:
        known = self._sessions.get(session_id)
        if known is None:
            self._make_room()
            known = self._sessions[session_id] = self._hash(_SESSION + session_id.encode())
        return known

    def _make_room(self) -> None:
        """Forget all once the limit is reached; those in use come back with their next event."""
        if len(self) >= self._limit:
            self._users, self._sessions = {}, {}

    def _hash(self, message: bytes) -> str:
        return hmac.digest(self._key, message, "sha256").hex()[:_DIGITS]
