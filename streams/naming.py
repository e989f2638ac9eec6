"""One deployment names its shoppers one way: a worker with another key, or with none, is refused.

Its states would lie under other names than the rest's while both move the same offsets: each shopper's history
would be torn in two, and a raw id could end where only pseudonyms are. So the first worker leaves a mark in Redis,
and the learner one in its folder, and every later one must have the same.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from events.errors import HeadwaterError
from events.pseudonyms import Pseudonyms
from serving.errors import StoreUnavailable

RAW = "raw"
_FILE = "naming"


class OtherNames(HeadwaterError):
    """Shoppers are named otherwise where this worker would write."""

    def __init__(self, *, place: str, found: str, own: str) -> None:
        super().__init__(
            f"{place} names shoppers by {_told(found)}, this worker by {_told(own)}. Give every worker the same "
            "HEADWATER_PRIVACY_PSEUDONYMISE and HEADWATER_PRIVACY_SECRET_KEY; to change them, choose a new "
            "REDIS_PREFIX and HEADWATER_LEARNER_SNAPSHOT_DIR and replay the topics from their start "
            "(docs/security.md, Changing the key)"
        )


class NamingStore(Protocol):
    """What of the user store is needed here."""

    async def probe(self) -> None:
        """Return when this user may do everything; an error that names what it may not."""

    async def naming(self) -> str | None:
        """The mark; None where there is none."""

    async def name_by(self, naming: str) -> None:
        """Leave the mark unless there is one."""

    async def applied(self, partitions: Collection[int]) -> Mapping[int, Mapping[str, int]]:
        """Partition -> topic -> highest offset applied."""


def naming_of(pseudonyms: Pseudonyms | None) -> str:
    """What stands for a way of naming shoppers; for pseudonyms it tells nothing about their key."""
    return RAW if pseudonyms is None else pseudonyms.mark


class StoreNaming:
    """Looks once, when the store first answers."""

    def __init__(self, store: NamingStore, *, own: str, partitions: int) -> None:
        self._store = store
        self._own = own
        self._partitions = partitions
        self._agreed = False

    async def agree(self) -> None:
        """Return when the store lets this worker write and names shoppers as it does, or does not answer now.

        OtherNames if it names them otherwise; NotPermitted before anything is written.
        """
        if self._agreed:
            return
        try:
            await self._store.probe()
            found = await self._store.naming()
            if found is None:
                applied = await self._store.applied(range(self._partitions))
                # States without a mark were written by a version that knew raw ids only.
                await self._store.name_by(RAW if any(applied.values()) else self._own)
                found = await self._store.naming()
        except StoreUnavailable:
            return  # whoever writes next will find out by itself; then it is asked again
        if found is not None and found != self._own:
            raise OtherNames(place="Redis", found=found, own=self._own)
        self._agreed = True


def agree_in_folder(folder: Path, *, own: str) -> None:
    """Return when what lies in `folder` names shoppers so, or nothing lies there yet; OtherNames if not."""
    mark = folder / _FILE
    folder.mkdir(parents=True, exist_ok=True)
    if not mark.exists():
        first = RAW if any(folder.iterdir()) else own
        fresh = folder / f".{_FILE}.new"
        with fresh.open("w") as file:
            file.write(first)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(mark)
    found = mark.read_text().strip()
    if found != own:
        raise OtherNames(place=str(folder), found=found, own=own)


def _told(naming: str) -> str:
    return "their own ids" if naming == RAW else f"pseudonyms of the key marked {naming[:8]}"
