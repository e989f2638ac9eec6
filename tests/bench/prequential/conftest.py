"""What the tests of contenders share."""

import pytest

from load.columns import Columns
from load.prequential.prepared import Prepared, StreamConfig, prepare
from load.prequential.units import ProtocolConfig
from streams.settings import Settings
from tests.bench.prequential.shop import UNITS
from tests.load.prequential.streams import write_baskets


@pytest.fixture(scope="module")
def small() -> Settings:
    sources = {"items": 256, "users": 128, "sessions": 512}
    return Settings().updated(sources=sources, serving={"candidates": 60})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("stream")
    data = write_baskets(folder / "rows.parquet", baskets=UNITS)
    return prepare(StreamConfig(data, ProtocolConfig("basket"), Columns()), folder=folder / "work")
