"""One pass gives every strength's figures, from the same scores, and the curves rise with the strength."""

from typing import Any

import numpy as np
import pytest

from bench.diversity import BANDIT, PURE, Strength, run_diversity, usual_strengths
from bench.diversity_picture import draw_diversity
from bench.prequential.headwater import Headwater, benchmark_settings
from bench.prequential.variants import variant_of
from load.columns import Columns
from load.prequential.prepared import Prepared, StreamConfig, prepare
from load.prequential.running import run_contender
from load.prequential.scoring import target_ranks, unit_metrics
from load.prequential.units import ProtocolConfig
from models.bandit import DEFAULT_ARMS
from models.slate import Bonus
from streams.settings import Settings
from tests.load.prequential.streams import write_baskets

_PROTOCOL = ProtocolConfig("basket")
_STRENGTHS = (
    Strength(PURE, PURE, Bonus()),
    Strength("little", "tail", Bonus(tail=0.01)),
    Strength("much", "tail", Bonus(tail=1.0)),
)


@pytest.fixture(scope="module")
def small() -> Settings:
    sources = {"items": 256, "users": 128, "sessions": 512}
    return Settings().updated(sources=sources, serving={"candidates": 60})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("stream")
    data = write_baskets(folder / "rows.parquet", baskets=150)
    return prepare(StreamConfig(data, _PROTOCOL, Columns()), folder=folder / "work")


@pytest.fixture(scope="module")
def report(prepared: Prepared, small: Settings) -> dict[str, Any]:
    return run_diversity(prepared, protocol=_PROTOCOL, settings=small, strengths=_STRENGTHS)


def test_more_bonus_gives_the_tail_more_places(report: dict[str, Any]) -> None:
    points = report["points"]
    shares = [points[name]["tail_exposure"] for name in (PURE, "little", "much")]
    assert shares[0] <= shares[1] < shares[2]
    assert shares[0] > 0 or "tail_times" not in points["much"]
    assert points[PURE]["recall_loss"] == 0.0
    assert points["much"]["recall_loss"] > 0.0


def test_the_pure_point_is_what_the_prequential_benchmark_measures(
    prepared: Prepared, small: Settings, report: dict[str, Any]
) -> None:
    variant = variant_of("headwater-wide")
    run = run_contender(
        lambda: Headwater(
            prepared.info,
            name="headwater-wide",
            variant=variant,
            settings=benchmark_settings(small, variant=variant, seed=7),
        ),
        units=prepared.units,
        info=prepared.info,
    )
    ranks = target_ranks(run.lists, units=prepared.units, n_items=prepared.info.n_items)
    recall = unit_metrics(ranks, units=prepared.units, cuts=(20,))["recall@20"]
    counted = np.arange(len(prepared.units)) >= 0.1 * len(prepared.units)
    assert report["points"][PURE]["recall_all@20"] == pytest.approx(float(recall[counted].mean()))


def test_the_bandit_is_a_point_too_and_its_shares_are_told(report: dict[str, Any]) -> None:
    assert report["points"][BANDIT]["curve"] == BANDIT
    for shares in report["bandit_arms"].values():
        assert list(shares) == [arm.name for arm in DEFAULT_ARMS]
        assert sum(shares.values()) == pytest.approx(1.0)


def test_the_usual_strengths_have_names_of_their_own_and_begin_with_none() -> None:
    strengths = usual_strengths()
    assert strengths[0].bonus == Bonus()
    assert len({strength.name for strength in strengths}) == len(strengths)


def test_the_curves_are_a_picture(report: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    assert draw_diversity({"some": report}).startswith(b"\x89PNG")
