import asyncio
from pathlib import Path

import pytest

from events.pseudonyms import Pseudonyms
from serving.errors import NotPermitted, StoreUnavailable
from serving.keys import KeySpace
from serving.ports import PartitionWrite
from serving.redis_options import RedisOptions
from serving.redis_store import RedisStore
from streams.naming import RAW, OtherNames, StoreNaming, agree_in_folder, naming_of

ONE, TWO = (naming_of(Pseudonyms(key)) for key in (b"a key of 16 bytes", b"another key, too"))


def _agree(redis_url: str, prefix: str, *owns: str, before: list[PartitionWrite] | None = None) -> None:
    async def go() -> None:
        store = RedisStore(RedisOptions(url=redis_url), keys=KeySpace(prefix=prefix, partitions=4))
        try:
            if before:
                await store.write(before)
            for own in owns:
                await StoreNaming(store, own=own, partitions=4).agree()
        finally:
            await store.close()

    asyncio.run(go())


def test_workers_of_one_key_agree(redis_url: str, redis_prefix: str) -> None:
    _agree(redis_url, redis_prefix, ONE, ONE)


@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (ONE, RAW), (RAW, ONE)])
def test_a_worker_that_names_otherwise_is_refused(
    redis_url: str, redis_prefix: str, first: str, second: str
) -> None:
    with pytest.raises(OtherNames, match="HEADWATER_PRIVACY_SECRET_KEY"):
        _agree(redis_url, redis_prefix, first, second)


def test_states_from_before_there_were_marks_have_raw_ids(redis_url: str, redis_prefix: str) -> None:
    old = PartitionWrite(partition=2, batch_id="1", expected={}, applied={"clicks": 1}, states={"ann": b"1"})
    with pytest.raises(OtherNames, match="their own ids"):
        _agree(redis_url, redis_prefix, ONE, before=[old])
    _agree(redis_url, redis_prefix, RAW)


class _Store:
    """Answers with what `naming` raises or returns."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    async def probe(self) -> None:
        if self.error is not None:
            raise self.error

    async def naming(self) -> str | None:
        return TWO

    async def name_by(self, naming: str) -> None:
        raise AssertionError(f"there is one, and {naming} is not it")

    async def applied(self, partitions: object) -> dict[int, dict[str, int]]:
        raise AssertionError(f"not asked for {partitions}")


def test_a_store_that_is_away_is_asked_again_with_the_next_batch() -> None:
    store = _Store(StoreUnavailable("away"))
    naming = StoreNaming(store, own=ONE, partitions=4)
    asyncio.run(naming.agree())
    store.error = None
    with pytest.raises(OtherNames):
        asyncio.run(naming.agree())


def test_a_user_who_may_not_write_stops_the_worker() -> None:
    with pytest.raises(NotPermitted):
        asyncio.run(StoreNaming(_Store(NotPermitted("no")), own=ONE, partitions=4).agree())


def test_the_learners_folder_keeps_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    agree_in_folder(folder, own=ONE)
    agree_in_folder(folder, own=ONE)
    with pytest.raises(OtherNames, match="snapshots names shoppers"):
        agree_in_folder(folder, own=TWO)


def test_a_folder_from_before_there_were_marks_has_raw_ids(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    with pytest.raises(OtherNames, match="their own ids"):
        agree_in_folder(tmp_path, own=ONE)
    agree_in_folder(tmp_path, own=RAW)


def test_the_mark_tells_nothing_of_the_key() -> None:
    assert "a key of 16 bytes" not in ONE
    assert len(ONE) == 32
    assert naming_of(None) == RAW
