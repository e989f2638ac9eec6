import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from models.deep_config import DeepConfig
from models.drift import DriftConfig
from models.errors import ConfigError, InputError
from models.gate import GateConfig
from models.learner import FEATURES_NOT_FINITE, NO_POSITIVES, Learner, LearnerConfig
from models.metrics import rank_metrics
from models.optimiser import GRADIENT_NOT_FINITE, LOSS_NOT_FINITE
from models.prequential import PrequentialConfig
from models.ranker import RankerConfig
from models.replay import ReplayConfig
from models.state import Arrays
from tests.models.planted import DIM, Slates, by_feature, by_last_item, clustered_table, noise, slates

F = 6
TABLE = clustered_table()
SMALL = LearnerConfig(
    replay=ReplayConfig(recent=64, reservoir=64, candidates=12),
    deep_every=2,
    prequential=PrequentialConfig(k=3, window=500, deep_sample_every=2, gate=GateConfig(500, 100)),
)


def taught(learner: Learner, units: Iterable[Slates]) -> Learner:
    for unit in units:
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    return learner


def hit_rate(learner: Learner, make: Callable[[int], Slates], *, batches: range) -> float:
    """Hit@1 of the wide part on slates it has not learnt from."""
    hits = [
        rank_metrics(learner.ranker.score(s.batch, TABLE).wide, gains=s.gains, k=1).hit
        for s in map(make, batches)
    ]
    return float(np.concatenate(hits).mean())


def same(one: Arrays, two: Arrays) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_wide_part_learns_a_planted_signal_within_1300_units(wide_config: RankerConfig) -> None:
    learner = Learner(wide_config, SMALL, n_features=F, dim=DIM)
    assert hit_rate(learner, by_feature, batches=range(1000, 1005)) < 0.2
    taught(learner, map(by_feature, range(40)))
    assert hit_rate(learner, by_feature, batches=range(1000, 1010)) > 0.8


def test_wide_part_does_not_beat_chance_on_noise(wide_config: RankerConfig) -> None:
    learner = taught(Learner(wide_config, SMALL, n_features=F, dim=DIM), map(noise, range(20)))
    chance = 1 / 24
    assert hit_rate(learner, noise, batches=range(1000, 1030)) == pytest.approx(chance, abs=0.03)


def test_deep_part_finds_text_and_order_that_the_features_do_not_carry(ranker_config: RankerConfig) -> None:
    config = dataclasses.replace(SMALL, deep_every=1, deep_units=32)
    learner = Learner(ranker_config, config, n_features=3, dim=DIM)
    for unit in map(by_last_item, range(60)):
        learner.validate(unit.batch, TABLE, gains=unit.gains)
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    fresh = by_last_item(5000, users=200)
    scores = learner.ranker.score(fresh.batch, TABLE)
    assert rank_metrics(scores.wide, gains=fresh.gains, k=1).hit.mean() < 0.25
    assert rank_metrics(scores.total, gains=fresh.gains, k=1).hit.mean() > 0.9
    report = learner.prequential.report()
    assert learner.prequential.gate.pays()
    assert report["paired_total.ndcg@3"] - report["paired_wide.ndcg@3"] == pytest.approx(
        report["deep.gain"], abs=1e-6
    )


def test_gate_stays_closed_when_there_is_nothing_to_add(ranker_config: RankerConfig) -> None:
    learner = Learner(ranker_config, SMALL, n_features=F, dim=DIM)
    for unit in map(noise, range(40)):
        learner.validate(unit.batch, TABLE, gains=unit.gains)
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    assert learner.prequential.report()["paired.units"] == 500
    assert not learner.prequential.gate.pays()


def test_real_backbone_learns_planted_text() -> None:
    deep = DeepConfig(history=4, candidates=8, id_buckets=64)
    config = dataclasses.replace(SMALL, deep_every=1, deep_units=16)
    table = clustered_table(dim=384)
    learner = Learner(RankerConfig(wide_hidden=(8,), deep=deep, device="cpu"), config, n_features=3, dim=384)
    fresh = by_last_item(5000, users=64)
    for number in range(45):
        unit = by_last_item(number, users=16)
        learner.learn(unit.batch, table, gains=unit.gains)
    scores = learner.ranker.score(fresh.batch, table)
    wide = rank_metrics(scores.wide, gains=fresh.gains, k=1).hit.mean()
    total = rank_metrics(scores.total, gains=fresh.gains, k=1).hit.mean()
    assert wide < 0.25
    assert total > 0.7


def test_training_twice_over_one_log_leaves_the_same_bits(ranker_config: RankerConfig) -> None:
    log = [by_feature(number) for number in range(12)]
    one = taught(Learner(ranker_config, SMALL, n_features=F, dim=DIM), log)
    np.random.seed(3)
    two = taught(Learner(ranker_config, SMALL, n_features=F, dim=DIM), log)
    assert same(one.snapshot(), two.snapshot())


def test_a_snapshot_in_the_middle_leaves_the_same_bits(ranker_config: RankerConfig) -> None:
    log = [by_feature(number) for number in range(14)]
    whole = Learner(ranker_config, SMALL, n_features=F, dim=DIM)
    first = Learner(ranker_config, SMALL, n_features=F, dim=DIM)
    for learner in (whole, first):
        for unit in log[:7]:
            learner.validate(unit.batch, TABLE, gains=unit.gains)
            learner.learn(unit.batch, TABLE, gains=unit.gains)
    second = Learner(ranker_config, SMALL, n_features=F, dim=DIM)
    second.restore(first.snapshot())
    for learner in (whole, second):
        for unit in log[7:]:
            learner.validate(unit.batch, TABLE, gains=unit.gains)
            learner.learn(unit.batch, TABLE, gains=unit.gains)
    assert same(whole.snapshot(), second.snapshot())
    assert not same(whole.snapshot(), first.snapshot())


def test_validation_does_not_change_what_is_learnt(ranker_config: RankerConfig) -> None:
    log = [by_feature(number) for number in range(6)]
    quiet = taught(Learner(ranker_config, SMALL, n_features=F, dim=DIM), log)
    watched = Learner(ranker_config, SMALL, n_features=F, dim=DIM)
    for unit in log:
        watched.validate(unit.batch, TABLE, gains=unit.gains)
        watched.learn(unit.batch, TABLE, gains=unit.gains)
    assert same(quiet.ranker.snapshot(), watched.ranker.snapshot())


def test_a_loss_that_is_not_finite_changes_no_weight_and_is_counted(ranker_config: RankerConfig) -> None:
    learner = taught(Learner(ranker_config, SMALL, n_features=F, dim=DIM), map(by_feature, range(3)))
    before, moments = learner.ranker.snapshot(), learner.snapshot()
    unit = by_feature(3)
    poison = np.full(unit.gains.shape, np.nan, np.float32)
    report = learner.learn(unit.batch, TABLE, gains=unit.gains, logq=poison)
    assert report.skipped == LOSS_NOT_FINITE
    assert learner.skipped_steps == 1
    after = learner.ranker.snapshot()
    for name in before:
        if "scaler" not in name:
            np.testing.assert_array_equal(after[name], before[name])
    later = learner.snapshot()
    for name in moments:
        if "optimiser" in name or "replay" in name:
            np.testing.assert_array_equal(later[name], moments[name])
    assert learner.learn(unit.batch, TABLE, gains=unit.gains).skipped is None


def test_features_that_are_not_finite_are_not_learnt_from(wide_config: RankerConfig) -> None:
    learner = taught(Learner(wide_config, SMALL, n_features=F, dim=DIM), map(by_feature, range(3)))
    before = learner.ranker.snapshot()
    unit = by_feature(3)
    unit.batch.features[0, 0, 0] = np.inf
    assert learner.learn(unit.batch, TABLE, gains=unit.gains).skipped == FEATURES_NOT_FINITE
    assert same(learner.ranker.snapshot(), before)


def test_a_batch_without_positives_only_teaches_the_standardiser(wide_config: RankerConfig) -> None:
    learner = Learner(wide_config, SMALL, n_features=F, dim=DIM)
    before = learner.ranker.wide.snapshot()
    batch = slates(1)
    report = learner.learn(batch, TABLE, gains=np.zeros(batch.candidates.shape, np.float32))
    assert report.skipped == NO_POSITIVES
    after = learner.ranker.wide.snapshot()
    assert after["scaler.rows"] == 32 * 24
    np.testing.assert_array_equal(after["layer0.weight"], before["layer0.weight"])
    assert len(learner.replay) == 0


def test_tasks_are_learnt_from_labels(ranker_config: RankerConfig) -> None:
    config = dataclasses.replace(SMALL, deep_every=1, deep_units=32)
    learner = Learner(ranker_config, config, n_features=3, dim=DIM)
    for unit in map(by_last_item, range(80)):
        labels = np.zeros((*unit.gains.shape, 3), np.float32)
        labels[:, :, 0] = 1.0  # everything is clicked
        labels[:, :, 2] = unit.gains  # the right one is bought
        learner.learn(unit.batch, TABLE, gains=unit.gains, labels=labels)
    fresh = by_last_item(7000)
    clicked, carted, bought = np.moveaxis(learner.ranker.score(fresh.batch, TABLE).tasks, 2, 0)
    assert clicked.min() > 0.7
    assert carted.max() < 0.3
    assert bought[fresh.gains > 0].mean() > bought[fresh.gains == 0].mean() + 0.4


def test_gains_of_the_wrong_shape_or_sign_are_refused(wide_config: RankerConfig) -> None:
    learner = Learner(wide_config, SMALL, n_features=F, dim=DIM)
    batch = slates(1)
    with pytest.raises(InputError, match="gains"):
        learner.learn(batch, TABLE, gains=np.zeros((3, 3), np.float32))
    with pytest.raises(InputError, match=">= 0"):
        learner.learn(batch, TABLE, gains=np.full(batch.candidates.shape, -1, np.float32))
    with pytest.raises(ConfigError, match="deep_every is 0"):
        LearnerConfig(deep_every=0)


def test_a_gradient_that_is_not_finite_is_not_applied() -> None:
    import torch

    from models.optimiser import GuardedAdamW

    weight = torch.nn.Parameter(torch.tensor([0.0, 1.0]))
    optimiser = GuardedAdamW([weight], lr=0.1, weight_decay=0.0, clip_norm=1.0)
    before = optimiser.snapshot()
    stepped = optimiser.step(weight.sqrt().sum())  # the slope of a root is infinite at 0
    assert stepped.skipped == GRADIENT_NOT_FINITE
    assert weight.tolist() == [0.0, 1.0]
    assert same(optimiser.snapshot(), before)
    assert optimiser.step((weight**2).sum()).skipped is None
    assert weight.tolist() != [0.0, 1.0]


def test_after_drift_it_learns_faster_and_explores_more_and_a_snapshot_keeps_both(
    wide_config: RankerConfig,
) -> None:
    config = dataclasses.replace(SMALL, drift=DriftConfig(grace_units=0))
    eager, calm = (Learner(wide_config, config, n_features=F, dim=DIM) for _ in range(2))
    without = Learner(wide_config, dataclasses.replace(SMALL, drift=None), n_features=F, dim=DIM)
    for learner in (eager, calm, without):
        taught(learner, map(by_feature, range(3)))
    assert same(calm.ranker.snapshot(), without.ranker.snapshot())
    assert eager.drift is not None
    eager.drift.observe(np.zeros(640))
    eager.drift.observe(np.ones(64))
    assert eager.exploration > 1 == calm.exploration == without.exploration
    restored = Learner(wide_config, config, n_features=F, dim=DIM)
    restored.restore(eager.snapshot())
    before = calm.ranker.snapshot()
    last = len(wide_config.wide_hidden)
    # They add the same to every score of a slate, which a listwise loss cannot tell: only rounding moves them.
    last_biases = {f"wide.layer{last}.bias", f"wide.mean{last}.bias"}
    for learner in (eager, calm, restored):
        taught(learner, [by_feature(3)])
    assert same(eager.snapshot(), restored.snapshot())
    moved = {
        name: [
            np.abs(arrays[name] - before[name]).sum()
            for arrays in (calm.ranker.snapshot(), eager.ranker.snapshot())
        ]
        for name in before
        if ("layer" in name or ("mean" in name and "scaler" not in name)) and name not in last_biases
    }
    assert all(hasty > 1.5 * usual for usual, hasty in moved.values())


def test_the_detector_may_be_switched_off_and_on_between_two_snapshots(wide_config: RankerConfig) -> None:
    without_config = dataclasses.replace(SMALL, drift=None)
    watching, without = (
        Learner(wide_config, config, n_features=F, dim=DIM) for config in (SMALL, without_config)
    )
    for learner in (watching, without):
        taught(learner, map(by_feature, range(3)))
    assert watching.drift is not None
    watching.drift.observe(np.zeros(640))
    switched_off = Learner(wide_config, without_config, n_features=F, dim=DIM)
    switched_off.restore(watching.snapshot())
    assert same(switched_off.snapshot(), without.snapshot())
    switched_on = Learner(wide_config, SMALL, n_features=F, dim=DIM)
    switched_on.restore(without.snapshot())
    assert switched_on.drift is not None
    assert int(switched_on.drift.snapshot()["of_units.seen"]) == 0
    assert same(switched_on.ranker.snapshot(), without.ranker.snapshot())


def test_the_detector_hears_of_every_loss_that_says_something(wide_config: RankerConfig) -> None:
    learner = Learner(wide_config, SMALL, n_features=F, dim=DIM)
    assert learner.drift is not None
    unit = by_feature(1)
    learner.validate(unit.batch, TABLE, gains=unit.gains, relevant=np.array([1] * 20 + [0] * 12))
    assert int(learner.drift.snapshot()["of_units.seen"]) == 20
