"""The ids of the items that events name."""

from collections.abc import Sequence

from events.flatten import HashCache
from events.types import AnyUserEvent


def item_names(events: Sequence[AnyUserEvent], *, hashes: HashCache) -> dict[int, str]:
    """Item ids by their hash."""
    return {hashes[item.item_id]: item.item_id for event in events for item in event.items}
