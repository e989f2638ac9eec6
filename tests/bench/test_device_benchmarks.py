"""The benchmarks of what depends on the device: their arithmetic, and a small run of each."""

import json

import numpy as np
import pytest
import torch

from bench.arithmetic import Shape, measured_peak, training_flops
from bench.index_search import IndexSearchConfig, run_index_search
from bench.machine import Machine
from bench.training_step import TrainingStepConfig, run_training_step
from streams.settings import Settings

SHAPE = Shape(
    layers=2,
    hidden=384,
    inner=1536,
    tokens=48,
    candidates=32,
    features=40,
    text_dim=384,
    text_rank=32,
    id_dim=24,
    lora_rank=8,
    adapted=2,
)


def test_operations_are_those_that_torch_counts() -> None:
    """Of one frozen layer's products, forward and gradient of what goes in, by torch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    hidden = torch.randn(1, SHAPE.tokens, SHAPE.hidden, requires_grad=True)
    square = [torch.nn.Linear(SHAPE.hidden, SHAPE.hidden).requires_grad_(False) for _ in range(4)]
    wide = torch.nn.Linear(SHAPE.hidden, SHAPE.inner).requires_grad_(False)
    narrow = torch.nn.Linear(SHAPE.inner, SHAPE.hidden).requires_grad_(False)
    with FlopCounterMode(display=False) as counted:
        x = hidden
        for layer in square:
            x = layer(x)
        narrow(wide(x)).sum().backward()
    none = {"candidates": 0, "features": 0, "text_rank": 0, "id_dim": 0, "lora_rank": 0}
    ours = training_flops(Shape(1, SHAPE.hidden, SHAPE.inner, SHAPE.tokens, text_dim=384, adapted=0, **none))
    attention = 3 * 2 * 2 * SHAPE.tokens**2 * SHAPE.hidden
    assert ours - attention == counted.get_total_flops()


def test_a_peak_is_what_a_product_reaches() -> None:
    peak = measured_peak(torch.device("cpu"), dtype=torch.float32)
    assert 1e9 < peak < 1e14


def test_a_training_step_is_timed_for_every_size() -> None:
    settings = Settings().updated(
        sources={"items": 4_096, "users": 1_024, "sessions": 2_048},
        serving={"candidates": 40, "deep_candidates": 20},
    )
    config = TrainingStepConfig(layers=(1, 2), units=(2, 4), events=300, rounds=3)
    report = json.loads(run_training_step(config, settings=settings, machine=Machine.describe()).to_json())
    rows = {name: report[name] for name in report if name.startswith("layers_")}
    assert rows.keys() == {f"layers_{a}_units_{b}" for a in (1, 2) for b in (2, 4)}
    for row in rows.values():
        assert 0 < row["share_of_peak"] < 1
        assert row["p50_ms"] <= row["p99_ms"]
    assert rows["layers_2_units_4"]["p50_ms"] > rows["layers_1_units_4"]["p50_ms"]


@pytest.mark.parametrize(("items", "kind"), [(3_000, "flat"), (120_000, "ivf")])
def test_an_index_is_held_against_exact_search(items: int, kind: str) -> None:
    config = IndexSearchConfig(items=items, dim=24, device="cpu", queries=(1, 4), rounds=5)
    report = json.loads(run_index_search(config, machine=Machine.describe()).to_json())
    assert report["settings"]["kind"] == kind
    assert report["recall_at_20"] == pytest.approx(1.0, abs=0.0 if kind == "flat" else 0.1)
    for size in (1, 4):
        assert report[f"queries_{size}"]["p50_ms"] > 0
    assert np.isfinite(report["build_s"])


def test_sizes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="units"):
        TrainingStepConfig(units=())
    with pytest.raises(ValueError, match="queries"):
        IndexSearchConfig(queries=(0,))
