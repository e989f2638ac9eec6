"""The shop of every benchmark: the shipped stream and its catalogue, and clicks of shoppers of its own."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import count, islice
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.errors import BenchError
from events.ids import ItemId, UserId
from events.types import AnyUserEvent, CatalogueItem, Item, ViewItem
from load.catalogue import read_items
from load.stream_reader import StreamReader

EVENTS_FILE = "online_retail_ii.parquet"
ITEMS_FILE = "online_retail_ii_items.parquet"
_DRAWN_AT_ONCE = 4_096


def shipped(name: str) -> Path:
    """A file of the shipped data; BenchError where it is not installed."""
    path = Path(str(files("demo").joinpath("data", name)))
    if not path.is_file():
        raise BenchError(f"{path}: the shipped data is not there; it comes with the repository (demo/data)")
    return path


def stream(limit: int | None = None) -> Iterator[AnyUserEvent]:
    """The shipped purchases and refunds in their order, at most `limit` of them."""
    return islice(iter(StreamReader(shipped(EVENTS_FILE))), limit)


def catalogue() -> list[CatalogueItem]:
    """The shipped catalogue by first appearance."""
    return read_items(shipped(ITEMS_FILE))


def until(items: Sequence[CatalogueItem], *, last_ms: int) -> list[CatalogueItem]:
    """The items that had appeared by `last_ms`."""
    return [item for item in items if (item.occurred_at or 0) <= last_ms]


def moved(events: Sequence[AnyUserEvent], *, last_ms: int) -> list[AnyUserEvent]:
    """The same events, all moved in time by as much as brings the last one to `last_ms`."""
    shift = last_ms - max(event.occurred_at for event in events)
    return [replace(event, occurred_at=event.occurred_at + shift) for event in events]


def moved_items(items: Sequence[CatalogueItem], *, shift_ms: int) -> list[CatalogueItem]:
    """The same items, their times moved by `shift_ms`."""
    return [
        item if item.occurred_at is None else replace(item, occurred_at=item.occurred_at + shift_ms)
        for item in items
    ]


class Clicks:
    """An endless row of clicks; items are drawn as often as they were bought in `history`.

    With `shoppers` None every click is of a shopper of its own; else they take turns, in an order of chance.
    """

    def __init__(
        self,
        history: Sequence[AnyUserEvent],
        *,
        shoppers: int | None = None,
        start_ms: int,
        step_ms: int = 1,
        seed: int = 7,
        name: str = "shopper",
    ) -> None:
        bought = [item.item_id for event in history for item in event.items]
        if not bought:
            raise BenchError("there is no history to draw items from; take more events")
        ids, counts = np.unique(np.array(bought), return_counts=True)
        self._ids: list[str] = ids.tolist()
        self._chance: NDArray[np.float64] = counts / counts.sum()
        self._shoppers = shoppers
        self._start_ms, self._step_ms, self._name = start_ms, step_ms, name
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[AnyUserEvent]:
        numbers = count()
        while True:
            items = self._rng.choice(len(self._ids), size=_DRAWN_AT_ONCE, p=self._chance).tolist()
            whose = self._rng.integers(self._shoppers or 1, size=_DRAWN_AT_ONCE).tolist()
            for item, shopper in zip(items, whose, strict=True):
                number = next(numbers)
                yield ViewItem(
                    event_id=f"{self._name}-{number}",
                    occurred_at=self._start_ms + number * self._step_ms,
                    user_id=UserId(f"{self._name}-{shopper if self._shoppers else number}"),
                    items=(Item(item_id=ItemId(self._ids[item])),),
                )
