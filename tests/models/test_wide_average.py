import numpy as np
import torch

from models.learner import Learner, LearnerConfig
from models.ranker import RankerConfig
from models.wide import WidePart

BFLOAT16 = 0.02  # relative error of scores, where the CPU has it
ROWS = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def moved(wide: WidePart, by: float) -> WidePart:
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.add_(by)
    return wide


def test_half_precision_moves_scores_by_a_hundredth_of_their_spread() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2_000, 120)).astype(np.float32)
    wide = WidePart(60, hidden=(96, 64), seed=1)
    exact = wide.forward(torch.from_numpy(rows)).detach().numpy()
    assert np.abs(wide.score_rows(rows) - exact).max() < 0.03 * exact.std()


def test_scores_follow_the_weights_only_once_they_are_averaged() -> None:
    wide = WidePart(2, hidden=(3,), seed=1)
    before = wide.score_rows(ROWS)
    moved(wide, 0.5)
    np.testing.assert_array_equal(wide.score_rows(ROWS), before)
    wide.average(0.99)
    assert np.abs(wide.score_rows(ROWS) - before).max() > 0.01


def test_average_arrives_at_weights_that_rest() -> None:
    wide = moved(WidePart(2, hidden=(3,), seed=1), 0.5)
    for _ in range(2_000):
        wide.average(0.99)
    np.testing.assert_allclose(
        wide.score_rows(ROWS), wide.forward(torch.from_numpy(ROWS)).detach().numpy(), rtol=BFLOAT16
    )


def test_no_decay_scores_by_the_present_weights() -> None:
    wide = moved(WidePart(2, hidden=(3,), seed=1), 0.5)
    wide.average(0.0)
    np.testing.assert_allclose(
        wide.score_rows(ROWS), wide.forward(torch.from_numpy(ROWS)).detach().numpy(), rtol=BFLOAT16
    )


def test_replay_follows_what_there_is_to_learn() -> None:
    config = LearnerConfig(replay_units=64, replay_ratio=8, replay_steps=4)
    learner = Learner(RankerConfig(deep=None), config, n_features=2, dim=4)
    assert learner._replays(1) == (1, 8)
    assert learner._replays(8) == (1, 64)
    assert learner._replays(26) == (3, 64)
    assert learner._replays(1_000) == (4, 64)
