"""The catalogue's texts encoded once by the product's encoder, and kept beside the prepared stream."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.offline import item_vectors
from events.topics import Topic
from events.types import CatalogueItem
from streams.publisher import Record
from streams.settings import Settings

_TOPIC = Topic.ITEM_VECTORS.value


def encode_catalogue(items: Sequence[CatalogueItem], *, settings: Settings, path: Path) -> None:
    """Leaves at `path` what the encoder worker publishes for these records, unless it is there."""
    if path.is_file() or not items:
        return
    records = item_vectors(items, settings=settings, topic=_TOPIC)
    times = np.array([item.occurred_at or 0 for item in items], np.int64)
    keys = _packed([record.key or b"" for record in records])
    values = _packed([record.value or b"" for record in records])
    partial = path.with_name(f"{path.name}.partial.npz")
    np.savez(partial, times=times, keys=keys[0], keys_ends=keys[1], values=values[0], values_ends=values[1])
    partial.replace(path)


def read_vectors(path: Path) -> list[tuple[int, Record]]:
    """The times, in ms, and the records that `encode_catalogue` left at `path`; none where nothing is there."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as arrays:
        keys, values = (
            _unpacked(arrays[name].tobytes(), ends=arrays[f"{name}_ends"].tolist())
            for name in ("keys", "values")
        )
        times = arrays["times"].tolist()
    return [(time, Record(_TOPIC, key, value)) for time, key, value in zip(times, keys, values, strict=True)]


def _packed(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), ends


def _unpacked(blob: bytes, *, ends: Sequence[int]) -> list[bytes]:
    return [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
