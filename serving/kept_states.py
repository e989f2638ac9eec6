"""The states of the latest users in this process, packed: a learner's own, beside those that Redis has."""

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from events.flatten import EventColumns
from events.ids import UserId
from index.sources.array_folder import pack_strings, unpack_strings
from serving.state import StateCodec


class KeptStates:
    """At most `capacity` users; whoever has been away longest is forgotten."""

    def __init__(self, codec: StateCodec, *, capacity: int) -> None:
        self._codec = codec
        self._capacity = capacity
        self._states: OrderedDict[UserId, bytes] = OrderedDict()

    @property
    def by_user(self) -> Mapping[UserId, bytes]:
        """The packed state of every user kept, the latest changed last: a live view."""
        return MappingProxyType(self._states)

    def of(self, columns: EventColumns) -> NDArray[np.int64]:
        """(B, W) states of the users of `columns`, new for those who are not kept."""
        blobs = [self._states.get(user) for user in columns.users]
        return self._codec.unpack(blobs, users=columns.user_hashes)

    def fold(self, states: NDArray[np.int64], *, columns: EventColumns) -> None:
        """Fold the events into the (B, W) states of their users, in place, and keep these."""
        unknown = np.full((len(columns), 3), -1, np.int64)
        self._codec.fold(states, columns=columns, positions=unknown)
        for user, blob in zip(columns.users, self._codec.pack(states), strict=True):
            self._states[user] = blob
            self._states.move_to_end(user)
        while len(self._states) > self._capacity:
            self._states.popitem(last=False)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """Everything, as arrays."""
        users, user_ends = pack_strings(list(self._states))
        return {
            "states.users": users,
            "states.user_ends": user_ends,
            "states.blobs": np.frombuffer(b"".join(self._states.values()), np.uint8),
            "states.blob_ends": np.cumsum([len(blob) for blob in self._states.values()], dtype=np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError where the users' ids are damaged."""
        users = unpack_strings(
            {"users": arrays["states.users"], "users_ends": arrays["states.user_ends"]},
            name="users",
            count=len(arrays["states.user_ends"]),
        )
        blobs = arrays["states.blobs"].tobytes()
        ends = [0, *arrays["states.blob_ends"].tolist()]
        self._states = OrderedDict(
            (UserId(user), blobs[start:end])
            for user, start, end in zip(users, ends[:-1], ends[1:], strict=True)
        )
