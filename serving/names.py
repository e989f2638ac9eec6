"""The ids of the items that events name."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from events.flatten import HashCache
from events.types import AnyUserEvent


class ItemNames(Mapping[int, str]):
    """Item ids by their hash; the events are gone through when it is first asked, which most often is never."""

    def __init__(self, events: Sequence[AnyUserEvent], *, hashes: HashCache) -> None:
        self._events = events
        self._hashes = hashes

    def __getitem__(self, hashed: int) -> str:
        return self._names[hashed]

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _names(self) -> dict[int, str]:
        return {self._hashes[item.item_id]: item.item_id for event in self._events for item in event.items}
