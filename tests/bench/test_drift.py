"""The drift bench, small: tastes of half the shoppers move, and every contender meets the same shop."""

import json

import numpy as np
import pytest

from bench.drift import CONTENDERS, DriftBenchConfig, run_drift
from bench.drift_curve import draw_drift, recovery
from bench.machine import Machine
from streams.settings import Settings

CONFIG = DriftBenchConfig(
    items=200,
    shoppers=8,
    before=700,
    after=300,
    probe_every=100,
    level_over=200,
    seeds=(1, 2),
    contenders=("wide-only", "models-frozen", "everything-frozen", "no-swap"),
    titles=False,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    settings = Settings().updated(
        sources={"items": 1_024, "users": 256, "sessions": 1_024},
        serving={"candidates": 60},
        learner={"deep": False},
    )
    made = run_drift(CONFIG, settings=settings, machine=Machine.describe())
    picture = tmp_path_factory.mktemp("drift") / "drift.png"
    draw_drift(made.details["curves"], swap_at=CONFIG.before, to=picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    whole: dict[str, object] = json.loads(made.to_json())
    return whole


def test_everybody_is_the_same_until_the_swap_and_then_recall_falls(report: dict[str, dict]) -> None:
    curves = report["details"]["curves"]
    before = [np.array(curves[name]["changed"])[:7] for name in CONFIG.contenders]
    for curve in before[1:]:
        np.testing.assert_allclose(curve, before[0], atol=1e-4)
    rows = report["contenders"]
    for name in ("wide-only", "models-frozen", "everything-frozen"):
        assert rows[name]["dip"] < 0.7 * rows[name]["level"]
    assert rows["no-swap"]["dip"] > 0.8 * rows["no-swap"]["level"]


def test_the_frozen_one_does_not_recover_and_does_not_forget(report: dict[str, dict]) -> None:
    rows = report["contenders"]
    assert rows["everything-frozen"]["events_to_90_percent"] is None
    assert rows["wide-only"]["recovered_at_end"] > rows["everything-frozen"]["recovered_at_end"]
    untouched = np.array(report["details"]["curves"]["everything-frozen"]["untouched"])
    assert untouched[-1] == pytest.approx(untouched[6], rel=0.3)


def test_each_seed_stands_beside_the_mean(report: dict[str, dict]) -> None:
    row = report["contenders"]["wide-only"]
    assert list(row["by_seed"]) == ["1", "2"]
    one, two = (row["by_seed"][seed] for seed in ("1", "2"))
    assert one["level"] != two["level"]
    assert row["level"] == pytest.approx((one["level"] + two["level"]) / 2, abs=1e-4)
    assert report["recovered_after_2000"] == row["recovered_after_2000"]


def test_recovery_needs_two_probes_running() -> None:
    at = np.array([100, 200, 300, 400])
    assert recovery(at, np.array([0.9, 0.1, 0.9, 0.9]), wanted=0.8) == 300
    assert recovery(at, np.array([0.1, 0.1, 0.1, 0.9]), wanted=0.8) is None


def test_wrong_sizes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        DriftBenchConfig(contenders=("nobody",))
    with pytest.raises(ValueError, match="level_over"):
        DriftBenchConfig(before=100)
    with pytest.raises(ValueError, match="seeds"):
        DriftBenchConfig(seeds=(1, 1))
    assert "headwater" in CONTENDERS
