"""LambdaMART over the product's candidates: only the ranker is another."""

from pathlib import Path

import pytest

from bench.prequential.headwater import benchmark_settings
from bench.prequential.lambdamart import NAME, VARIANT, TreeRanking
from bench.prequential.registry import OVER_OUR_FEATURES
from load.columns import Columns
from load.prequential.contender import Query
from load.prequential.prepared import Prepared, StreamConfig, prepare
from load.prequential.running import run_contender
from load.prequential.scoring import target_ranks, unit_metrics
from load.prequential.units import ProtocolConfig
from models.baselines.lambdamart import LambdaMartConfig
from streams.settings import Settings
from tests.load.prequential.streams import Popular, write_baskets

UNITS = 240
SMALL = LambdaMartConfig(leaves=7, rounds=15, units=100)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder: Path = tmp_path_factory.mktemp("stream")
    data = write_baskets(folder / "rows.parquet", baskets=UNITS)
    return prepare(StreamConfig(data, ProtocolConfig("basket"), Columns()), folder=folder / "work")


def ranking(prepared: Prepared, *, refits: int = 6) -> TreeRanking:
    small = Settings().updated(
        sources={"items": 256, "users": 128, "sessions": 512}, serving={"candidates": 60}
    )
    settings = benchmark_settings(small, variant=VARIANT, seed=7)
    return TreeRanking(prepared.info, settings=settings, config=SMALL, refits=refits)


def test_it_learns_a_planted_taste_and_beats_popularity(prepared: Prepared) -> None:
    scores = []
    for make in (lambda: ranking(prepared), lambda: Popular(prepared.info)):
        run = run_contender(make, units=prepared.units, info=prepared.info)
        ranks = target_ranks(run.lists, units=prepared.units, n_items=prepared.info.n_items)
        scores.append(unit_metrics(ranks, units=prepared.units)["recall@5"][UNITS // 2 :].mean())
    assert scores[0] > scores[1] + 0.2


def test_fused_order_before_the_first_fit_and_trees_on_schedule(prepared: Prepared) -> None:
    ours = ranking(prepared)
    fitted = []
    for unit in prepared.units:
        answer = ours.recommend(Query(unit.index, unit.at_ms, unit.user, unit.session), k=20)
        if unit.index == 39:  # the last before the first fit
            ranked = ours.engine.recommender._last
            assert ranked is not None
            fused = ours.engine.sources.catalogue.hashes[ranked.candidates.items[0, : len(answer)]]
            assert [ours._codes[item] for item in fused.tolist()] == answer.tolist()
        ours.learn(unit)
        fitted.append(ours.engine.trees.fitted)
        if unit.index == 45:
            break
    assert fitted == [False] * 39 + [True] * 7
    assert ours.engine.learner.batches == 0  # the product's own ranker has learnt nothing
    assert 30 < len(ours.engine.trees) <= 40  # a unit without a known target teaches nothing


def test_its_name_is_the_registrys() -> None:
    assert NAME == OVER_OUR_FEATURES
