import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.features_scaler import Standardiser, inputs_from_z, wide_inputs


def random_features(seed: int, *, users: int = 4, candidates: int = 9, features: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(users, candidates, features)) * [1, 1e4, 1e-3] + [0, 1e6, 5]).astype(np.float32)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_standardiser_equals_the_moments_of_all_rows_however_they_were_cut(
    cuts: list[int], seed: int
) -> None:
    features = random_features(seed, users=sum(cuts))
    valid = np.random.default_rng(seed).random(features.shape[:2]) < 0.7
    standardiser, start = Standardiser(3), 0
    for users in cuts:
        part = slice(start, start + users)
        standardiser.learn(features[part], valid=valid[part])
        start += users
    rows = features[valid].astype(np.float64)
    if len(rows):
        assert standardiser.rows == len(rows)
        np.testing.assert_allclose(standardiser.mean, rows.mean(0), rtol=1e-9)
        np.testing.assert_allclose(standardiser.variance, rows.var(0), rtol=1e-6, atol=1e-12)


def test_standardiser_follows_a_stream_that_drifts() -> None:
    standardiser = Standardiser(1, memory_rows=1_000)
    rng = np.random.default_rng(1)
    for level in (0.0, 50.0):
        for _ in range(100):
            features = rng.normal(level, 2.0, (10, 10, 1)).astype(np.float32)
            standardiser.learn(features, valid=np.ones((10, 10), np.bool_))
    assert standardiser.mean[0] == pytest.approx(50.0, abs=0.5)
    assert standardiser.variance[0] == pytest.approx(4.0, rel=0.2)


def test_inputs_equal_a_plain_numpy_reference() -> None:
    features = random_features(2)
    valid = np.random.default_rng(2).random(features.shape[:2]) < 0.8
    standardiser = Standardiser(3)
    standardiser.learn(features, valid=valid)
    inputs, slates = wide_inputs(features, valid=valid, standardiser=standardiser)
    rows = []
    for user in range(len(features)):
        mine = features[user][valid[user]].astype(np.float64)
        standard = (mine - standardiser.mean) / np.sqrt(standardiser.variance)
        rows.append(np.hstack([standard, (mine - mine.mean(0)) / mine.std(0)]))
        np.testing.assert_allclose(slates.mean[user], mine.mean(0), rtol=1e-5)
    np.testing.assert_allclose(inputs, np.vstack(rows), atol=5e-3)


def test_a_constant_feature_reads_as_zero_and_outliers_are_clipped() -> None:
    features = random_features(3, features=3)
    features[:, :, 2] = 1234.567
    valid = np.ones(features.shape[:2], np.bool_)
    standardiser = Standardiser(3)
    standardiser.learn(features, valid=valid)
    features[0, 0, 0] = 1e9
    inputs, _ = wide_inputs(features, valid=valid, standardiser=standardiser)
    assert not inputs[:, [2, 5]].any()
    assert inputs[0, 0] == standardiser.clip
    assert inputs[0, 3] == pytest.approx(np.sqrt(features.shape[1] - 1), rel=1e-3)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_with_their_place(poison: float) -> None:
    features = random_features(4)
    features[1, 2, 0] = poison
    valid = np.ones(features.shape[:2], np.bool_)
    with pytest.raises(InputError, match="user 1, candidate 2, feature 0"):
        wide_inputs(features, valid=valid, standardiser=Standardiser(3))


def test_padding_may_hold_anything() -> None:
    features = random_features(5)
    valid = np.ones(features.shape[:2], np.bool_)
    valid[:, -2:] = False
    clean, _ = wide_inputs(features, valid=valid, standardiser=Standardiser(3))
    features[:, -2:] = np.nan
    dirty, _ = wide_inputs(features, valid=valid, standardiser=Standardiser(3))
    np.testing.assert_array_equal(clean, dirty)


def test_inputs_come_back_from_z_scores() -> None:
    features = random_features(6)
    valid = np.ones(features.shape[:2], np.bool_)
    standardiser = Standardiser(3)
    standardiser.learn(features, valid=valid)
    inputs, slates = wide_inputs(features, valid=valid, standardiser=standardiser)
    z = inputs[:, 3:].reshape(features.shape)
    again = inputs_from_z(z, slates=slates, standardiser=standardiser)
    np.testing.assert_allclose(again.reshape(-1, 6), inputs, atol=2e-2)
