"""A stream made ready: what a process reads back, and the catalogue's part."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from load.columns import Columns
from load.errors import BadStream
from load.prequential.prepared import StreamConfig, catalogue_of, load_prepared, prepare
from load.prequential.units import ProtocolConfig
from tests.load.prequential.streams import START_MS, write_baskets


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_baskets(tmp_path / "rows.parquet", baskets=40)


def test_what_is_read_back_is_what_was_prepared(data: Path, tmp_path: Path) -> None:
    made = prepare(StreamConfig(data, ProtocolConfig("basket"), Columns()), folder=tmp_path / "work")
    back = load_prepared(tmp_path / "work")
    for name in ("ts", "item", "user", "event", "qty", "price"):
        assert (getattr(back.info, name) == getattr(made.info, name)).all()
    for name in ("at_ms", "user", "session", "starts", "stops", "items", "ends"):
        assert (getattr(back.units, name) == getattr(made.units, name)).all()
    assert back.info.item_texts == made.info.item_texts
    assert back.info.item_names == made.info.item_names
    assert back.info.item_first_ts is None
    assert back.info.n_units == len(back.units) == 40


def test_the_repeats_of_sessions_are_read_back(tmp_path: Path) -> None:
    table = {"ts": [START_MS + at for at in (1, 2, 3)], "user": ["a"] * 3, "item": ["x", "x", "y"]}
    pq.write_table(pa.table(table), tmp_path / "clicks.parquet")
    config = StreamConfig(tmp_path / "clicks.parquet", ProtocolConfig("session"), Columns())
    prepare(config, folder=tmp_path / "work")
    units = load_prepared(tmp_path / "work").units
    assert [(one.at_ms, one.rows.start) for one in units.repeats.between(0, 3)] == [(START_MS + 2, 1)]
    assert (units.at_ms - START_MS).tolist() == [1, 3]


def test_the_catalogue_gives_texts_times_and_items_that_the_stream_never_has(
    data: Path, tmp_path: Path
) -> None:
    items = {
        "item": ["i0", "unsold", "postage"],
        "text": ["a mug", "a lamp", "stamps"],
        "first_ts": [START_MS, START_MS + 1, START_MS],
        "category": ["mugs", "lamps", None],
        "is_product": [True, True, False],
    }
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    where = "event = 'purchase' AND (is_product OR item = 'x')"
    flagged = pq.read_table(data).append_column("is_product", pa.array([True] * (40 * 4)))
    pq.write_table(flagged, data)
    config = StreamConfig(data, ProtocolConfig("basket"), Columns(), where, tmp_path / "items.parquet")
    prepare(config, folder=tmp_path / "work")
    info = load_prepared(tmp_path / "work").info
    assert "postage" not in info.item_names  # the filter's part about is_product holds in the catalogue too
    assert [str(item.item_id) for item in catalogue_of(config, folder=tmp_path / "work")] == ["i0", "unsold"]
    assert info.item_texts is not None
    assert info.item_first_ts is not None
    assert info.item_categories is not None
    code = info.item_names.index("i0")
    assert "a mug" in info.item_texts[code]
    assert info.item_first_ts[code] == START_MS
    assert info.item_categories[code] == "mugs"
    assert info.item_names[-1] == "unsold"
    assert info.n_items == len(info.item_names) > int(info.item.max()) + 1
    elsewhere = info.item_names.index("i1")
    assert info.item_texts[elsewhere].startswith("red thing")
    assert info.item_first_ts[elsewhere] == np.iinfo(np.int64).max


def test_the_key_changes_with_content_and_every_option(data: Path, tmp_path: Path) -> None:
    def key(**options: object) -> str:
        usual = {"data": data, "protocol": ProtocolConfig("basket"), "columns": Columns()}
        return StreamConfig(**{**usual, **options}).key()  # type: ignore[arg-type]

    copy = tmp_path / "copy.parquet"
    copy.write_bytes(data.read_bytes())
    assert key() == key(data=copy)
    other = write_baskets(tmp_path / "other.parquet", baskets=40, seed=4)
    keys = [
        key(),
        key(data=other),
        key(where="qty > 0"),
        key(protocol=ProtocolConfig("event")),
        key(protocol=ProtocolConfig("basket", limit_units=9)),
        key(columns=Columns(renames={"user": "item"})),
        key(items=other),
    ]
    assert len(set(keys)) == len(keys)
    with pytest.raises(BadStream, match="no such file"):
        key(items=tmp_path / "none")
