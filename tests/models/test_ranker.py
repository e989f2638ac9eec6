import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.batch import RankBatch
from models.deep_config import DeepConfig
from models.errors import ConfigError, InputError, ModelLoadError
from models.ranker import Ranker, RankerConfig
from tests.models.planted import DIM, clustered_table, slates

F = 6
TABLE = clustered_table()


def speaking(ranker: Ranker, *, seed: int = 5) -> Ranker:
    """The ranker with weights that are not silent: heads and LoRA start at zero."""
    rng = np.random.default_rng(seed)
    arrays = ranker.snapshot()
    for name, array in arrays.items():
        if name.startswith("deep.") and not array.any():
            arrays[name] = rng.normal(0, 0.2, array.shape).astype(np.float32)
    arrays["wide.scaler.mean"] = np.full(F, 3.0)
    arrays["wide.scaler.variance"] = 100.0 ** np.arange(-2, F - 2)
    ranker.restore(arrays)
    return ranker


@pytest.fixture(scope="module")
def ranker(ranker_config: RankerConfig) -> Ranker:
    return speaking(Ranker(ranker_config, n_features=F, dim=DIM))


def rows_of(batch: RankBatch, users: slice | NDArray[np.int64]) -> RankBatch:
    return RankBatch(*(getattr(batch, field.name)[users] for field in dataclasses.fields(batch)))


def test_untrained_deep_part_adds_nothing(ranker_config: RankerConfig) -> None:
    scores = Ranker(ranker_config, n_features=F, dim=DIM).score(slates(1), TABLE)
    assert scores.deep_used.all()
    np.testing.assert_array_equal(scores.total, scores.wide)


def test_deep_part_adds_to_the_best_by_wide_score_only(ranker: Ranker) -> None:
    scores = ranker.score(slates(2), TABLE)
    changed = scores.total != scores.wide
    limit = ranker.config.deep.candidates if ranker.config.deep else 0
    best = np.argsort(-scores.wide, axis=1)[:, :limit]
    assert (changed.sum(1) == limit).all()
    assert np.take_along_axis(changed, best, axis=1).all()
    added = np.take_along_axis(scores.total - scores.wide, best, axis=1)
    np.testing.assert_allclose(added.mean(1), 0.0, atol=1e-5)
    probabilities = scores.tasks[changed]
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert np.isnan(scores.tasks[~changed]).all()


def test_only_the_users_asked_for_get_the_deep_part(ranker: Ranker) -> None:
    batch = slates(3)
    asked = np.arange(len(batch)) % 3 == 0
    some, every = ranker.score(batch, TABLE, deep=asked), ranker.score(batch, TABLE, deep=True)
    np.testing.assert_array_equal(some.deep_used, asked)
    np.testing.assert_array_equal(some.total[~asked], some.wide[~asked])
    np.testing.assert_allclose(some.total[asked], every.total[asked], atol=1e-5)


def test_batch_equals_single(ranker: Ranker) -> None:
    batch = slates(4, users=5)
    together = ranker.score(batch, TABLE)
    for user in range(5):
        alone = ranker.score(rows_of(batch, slice(user, user + 1)), TABLE)
        np.testing.assert_allclose(alone.wide[0], together.wide[user], atol=1e-5)
        np.testing.assert_allclose(alone.total[0], together.total[user], atol=1e-5)


def test_padding_of_candidates_and_history_changes_nothing(ranker: Ranker) -> None:
    batch = slates(5, users=4, candidates=8, history=3)
    padded = RankBatch(
        np.pad(batch.candidates, ((0, 0), (0, 5))),
        np.pad(batch.features, ((0, 0), (0, 5), (0, 0))),
        np.pad(batch.history, ((0, 0), (0, 2))),
        np.pad(batch.history_kinds, ((0, 0), (0, 2))),
        np.pad(batch.history_ages_ms, ((0, 0), (0, 2))),
    )
    short, long = ranker.score(batch, TABLE), ranker.score(padded, TABLE)
    np.testing.assert_allclose(long.total[:, :8], short.total, atol=1e-5)
    assert (long.wide[:, 8:] == -np.inf).all()
    assert (long.total[:, 8:] == -np.inf).all()


def test_order_of_the_candidates_does_not_matter(ranker: Ranker) -> None:
    batch = slates(6, users=3)
    order = np.random.default_rng(1).permutation(batch.candidates.shape[1])
    shuffled = dataclasses.replace(
        batch, candidates=batch.candidates[:, order], features=np.ascontiguousarray(batch.features[:, order])
    )
    scores, again = ranker.score(batch, TABLE), ranker.score(shuffled, TABLE)
    np.testing.assert_allclose(again.total, scores.total[:, order], atol=1e-4)


def test_candidates_do_not_see_each_other(ranker: Ranker) -> None:
    batch = slates(7, users=3, candidates=6)
    view = ranker.view(batch)
    users, chosen = np.arange(3), np.tile(np.arange(6), (3, 1))
    inputs = ranker.deep_inputs(batch, TABLE, view=view, users=users, chosen=chosen)
    assert ranker.deep
    before = ranker.deep.score(inputs)
    length = inputs.kinds.shape[1]
    inputs.vectors[:, length + 2] = inputs.vectors[:, length + 3]
    inputs.buckets[:, length + 2] += 1
    inputs.features[:, 2] = 9.0
    after = ranker.deep.score(inputs)
    others = np.arange(6) != 2
    np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-6)
    assert (np.abs(after[:, 2] - before[:, 2]) > 1e-3).any()


def test_deep_part_reads_the_order_and_age_of_the_history(ranker: Ranker) -> None:
    batch = slates(8, users=3)
    scores = ranker.score(batch, TABLE).total
    reversed_history = dataclasses.replace(batch, history=batch.history[:, ::-1].copy())
    older = dataclasses.replace(batch, history_ages_ms=batch.history_ages_ms * 50)
    assert np.abs(ranker.score(reversed_history, TABLE).total - scores).max() > 1e-3
    assert np.abs(ranker.score(older, TABLE).total - scores).max() > 1e-3


def test_users_without_history_or_candidates_are_served(ranker: Ranker) -> None:
    batch = slates(9, users=3)
    batch.history[0] = 0
    batch.candidates[1] = 0
    batch.features[1] = 0
    scores = ranker.score(batch, TABLE)
    assert np.isfinite(scores.total[[0, 2]]).all()
    assert (scores.total[1] == -np.inf).all()
    assert scores.deep_used.tolist() == [True, False, True]


def test_learning_and_serving_networks_agree(ranker: Ranker) -> None:
    batch = slates(10, users=3)
    view = ranker.view(batch)
    users, chosen = np.arange(3), np.tile(np.arange(6), (3, 1))
    inputs = ranker.deep_inputs(batch, TABLE, view=view, users=users, chosen=chosen)
    assert ranker.deep
    np.testing.assert_allclose(
        ranker.deep.forward(inputs).detach().numpy(), ranker.deep.score(inputs), atol=1e-5
    )


def test_text_vectors_as_wide_as_the_backbone_are_taken_as_they_are(ranker_config: RankerConfig) -> None:
    ranker, table = speaking(Ranker(ranker_config, n_features=F, dim=32)), clustered_table(dim=32)
    batch = slates(15, users=3)
    view = ranker.view(batch)
    users, chosen = np.arange(3), np.tile(np.arange(6), (3, 1))
    inputs = ranker.deep_inputs(batch, table, view=view, users=users, chosen=chosen)
    assert ranker.deep
    served = ranker.deep.score(inputs)
    np.testing.assert_allclose(ranker.deep.forward(inputs).detach().numpy(), served, atol=1e-5)
    inputs.vectors[:] = inputs.vectors[:, ::-1]
    assert np.abs(ranker.deep.score(inputs) - served).max() > 1e-3


def test_scores_follow_the_weights_after_each_change(ranker_config: RankerConfig) -> None:
    batch, live = slates(16, users=4), Ranker(ranker_config, n_features=F, dim=DIM)
    previous = live.score(batch, TABLE).total
    for seed in (6, 7):
        fresh = speaking(Ranker(ranker_config, n_features=F, dim=DIM), seed=seed)
        live.restore(fresh.snapshot())
        scores = live.score(batch, TABLE).total
        np.testing.assert_allclose(scores, fresh.score(batch, TABLE).total, atol=1e-5)
        assert np.abs(scores - previous).max() > 1e-2
        previous = scores


def test_bfloat16_serves_nearly_the_same(ranker_config: RankerConfig, ranker: Ranker) -> None:
    assert ranker_config.deep
    narrow = dataclasses.replace(
        ranker_config, deep=dataclasses.replace(ranker_config.deep, dtype="bfloat16")
    )
    other = Ranker(narrow, n_features=F, dim=DIM)
    other.restore(ranker.snapshot())
    assert other.fingerprint() == ranker.fingerprint()
    batch = slates(11)
    full, half = ranker.score(batch, TABLE), other.score(batch, TABLE)
    added, added_half = full.total - full.wide, half.total - half.wide
    assert np.corrcoef(added.ravel(), added_half.ravel())[0, 1] > 0.999


def test_weights_come_from_the_seed_and_the_global_generator_is_left_alone(
    ranker_config: RankerConfig,
) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = Ranker(ranker_config, n_features=F, dim=DIM).snapshot()
    torch.manual_seed(2)
    two = Ranker(ranker_config, n_features=F, dim=DIM).snapshot()
    other = Ranker(dataclasses.replace(ranker_config, seed=9), n_features=F, dim=DIM).snapshot()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    assert (one["wide.layer0.weight"] != other["wide.layer0.weight"]).any()


def test_features_that_are_not_finite_are_refused(ranker: Ranker) -> None:
    batch = slates(12)
    batch.features[3, 4, 5] = np.nan
    with pytest.raises(InputError, match="user 3, candidate 4, feature 5"):
        ranker.score(batch, TABLE)


def test_arrays_that_do_not_fit_are_refused(ranker: Ranker) -> None:
    with pytest.raises(InputError, match="features"):
        ranker.score(slates(13, features=F + 1), TABLE)
    with pytest.raises(InputError, match="dimensions"):
        ranker.score(slates(13), clustered_table(dim=DIM + 8))


def test_explanation_names_the_feature_that_moves_the_score(wide_config: RankerConfig) -> None:
    ranker = Ranker(wide_config, n_features=F, dim=DIM)
    arrays = ranker.snapshot()
    arrays["wide.mean0.weight"][:] = 0.0
    arrays["wide.mean0.weight"][:, 2] = 1.0
    arrays["wide.mean0.bias"][:] = 10.0
    ranker.restore(arrays)
    batch = slates(14)
    shares = ranker.explain(batch)
    assert shares[:, :, 2].any()
    assert not np.delete(shares, 2, axis=2).any()


def test_wrong_settings_say_what_is_allowed(deep_config: DeepConfig) -> None:
    with pytest.raises(ConfigError, match="wide_hidden"):
        RankerConfig(wide_hidden=())
    with pytest.raises(ConfigError, match="candidates is 0"):
        DeepConfig(candidates=0)
    for error, message, wrong in (
        (ConfigError, "lora_targets", dataclasses.replace(deep_config, lora_targets=("nowhere",))),
        (ModelLoadError, "3 layers, 9", dataclasses.replace(deep_config, layers=9)),
        (ModelLoadError, "no/such/model", dataclasses.replace(deep_config, backbone="/no/such/model")),
    ):
        config = RankerConfig(deep=wrong, device="cpu")
        with pytest.raises(error, match=message):
            Ranker(config, n_features=F, dim=DIM)
