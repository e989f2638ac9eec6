"""The variants of the product as a contender: without a source, with another transformer, with slates."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.prequential.engine import Engine
from bench.prequential.headwater import Headwater, benchmark_settings
from bench.prequential.variants import VARIANTS, Variant, variant_of
from index.sources.assembly import IN_USE
from load.prequential.prepared import Prepared
from load.prequential.running import run_contender
from streams.settings import Settings
from tests.bench.prequential.shop import UNITS, contender, first_query, recall


@pytest.mark.parametrize("source", IN_USE)
def test_every_source_can_be_left_out_and_the_rest_still_learns(
    prepared: Prepared, small: Settings, source: str
) -> None:
    name = f"headwater-no-{source.replace('_', '-')}"
    variant = replace(variant_of(name), deep=False)
    settings = benchmark_settings(small, variant=variant, seed=7)
    ours = Headwater(prepared.info, name=name, variant=variant, settings=settings)
    assert source not in ours.engine.sources.names
    assert len(ours.engine.sources.names) == len(IN_USE) - 1
    for unit in prepared.units:
        answer = ours.recommend(first_query(unit), k=20)
        ours.learn(unit)
        if unit.index == 70:
            break
    assert ours.engine.steps == 2
    assert len(answer) == 20


def test_variants_are_what_they_say(small: Settings) -> None:
    assert not benchmark_settings(small, variant=variant_of("headwater-wide"), seed=7).learner.deep
    pure = benchmark_settings(small, variant=Variant(), seed=7)
    assert (pure.serving.slate_size, pure.serving.temperature) == (20, 0.0)
    slate = benchmark_settings(small, variant=variant_of("headwater-slate"), seed=7)
    assert slate.serving.temperature == small.serving.temperature > 0
    assert {
        "headwater",
        "headwater-slate",
        "headwater-wide",
        "headwater-frozen",
        "headwater-full",
    } <= VARIANTS.keys()
    with pytest.raises(BenchError, match="headwater-now"):
        variant_of("headwater-now")


def lora_of(engine: Engine) -> Iterator[NDArray[np.float32]]:
    assert engine.learner.ranker.deep is not None
    for name, parameter in engine.learner.ranker.deep.backbone.named_parameters():
        if "lora_" in name:
            yield parameter.detach().numpy().copy()


def offsets_of(engine: Engine) -> NDArray[np.float32]:
    """The largest change of each learnable weight of the backbone itself."""
    arrays = engine.learner.ranker.snapshot()
    return np.array([np.abs(array).max() for name, array in arrays.items() if name.endswith(".delta")])


@pytest.mark.parametrize(
    ("name", "moves"), [("headwater", True), ("headwater-frozen", False), ("headwater-full", False)]
)
def test_frozen_and_full_learn_around_an_adapter_that_stays(
    prepared: Prepared, small: Settings, name: str, moves: bool
) -> None:
    ours = contender(prepared.info, small, name=name)
    before = list(lora_of(ours.engine))
    for unit in prepared.units:
        if unit.index == 8 * 32:  # deep steps come with every fourth training step
            break
        ours.recommend(first_query(unit), k=20)
        ours.learn(unit)
    after = list(lora_of(ours.engine))
    assert ours.engine.steps == 8
    assert any((new != old).any() for new, old in zip(after, before, strict=True)) is moves
    assert (offsets_of(ours.engine) > 0).any() == (name == "headwater-full")


@pytest.mark.parametrize(("name", "gated"), [("headwater-full", True), ("headwater-full-ungated", False)])
def test_ungated_serves_a_transformer_that_did_not_prove_itself(
    prepared: Prepared, small: Settings, name: str, gated: bool
) -> None:
    """It learns the same: only what is served differs."""
    ours, wide = (contender(prepared.info, small, name=each) for each in (name, "headwater-wide"))
    differ = 0
    for unit in prepared.units:
        answers = [each.recommend(first_query(unit), k=20).tolist() for each in (ours, wide)]
        differ += answers[0] != answers[1]
        ours.learn(unit)
        wide.learn(unit)
        assert not ours.engine.learner.prequential.gate.pays()
    assert (differ == 0) is gated


def test_slates_teach_the_bandit_whether_they_held_what_was_taken(
    prepared: Prepared, small: Settings
) -> None:
    variant = replace(variant_of("headwater-slate"), deep=False)
    ours = Headwater(
        prepared.info,
        name="headwater-slate",
        variant=variant,
        settings=benchmark_settings(small, variant=variant, seed=7),
    )
    run = run_contender(lambda: ours, units=prepared.units, info=prepared.info)
    assert ours.engine.bandit.updates >= UNITS - 1
    assert 0.5 < ours.engine.bandit.means().max() <= 1
    assert recall(run, prepared)[UNITS // 2 :].mean() > 0.3
