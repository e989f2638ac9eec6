import numpy as np
import pytest
import torch

from models.errors import ConfigError
from models.slate_loss import LossConfig, SlateLoss
from models.targets import Targets

SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
VALID = np.ones((2, 3), np.bool_)
GAINS = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], np.float32)


def test_focal_loss_weighs_by_what_is_still_missed() -> None:
    log_p = torch.log_softmax(SCORES, 1)
    p = log_p.exp()
    expected = -(0.5 * ((1 - p[0, 0]) ** 2 * log_p[0, 0] + (1 - p[0, 2]) ** 2 * log_p[0, 2]))
    loss = SlateLoss(LossConfig(focal_gamma=2.0))(SCORES, targets=Targets(GAINS), valid=VALID)
    assert loss[0].item() == pytest.approx(expected.item())
    assert loss[1].item() == pytest.approx(-((2 / 3) ** 2) * np.log(1 / 3))


def test_a_focal_loss_stays_finite_where_the_answer_is_certain() -> None:
    scores = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = SlateLoss(LossConfig(focal_gamma=0.5))(
        scores, targets=Targets(GAINS[1:, [1, 0, 2]]), valid=VALID[:1]
    )
    loss.sum().backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_balanced_units_weigh_as_their_positives_do() -> None:
    weights = GAINS * np.array([[0.5], [3.0]], np.float32)
    plain = SlateLoss(LossConfig())(SCORES, targets=Targets(GAINS), valid=VALID)
    balanced = SlateLoss(LossConfig(class_balance=0.9))(SCORES, targets=Targets(weights), valid=VALID)
    torch.testing.assert_close(balanced, plain * torch.tensor([0.5, 3.0]))


@pytest.mark.parametrize("changes", [{"focal_gamma": -1.0}, {"class_balance": 1.0}, {"class_balance": -0.1}])
def test_wrong_settings_say_what_is_allowed(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="LossConfig needs"):
        LossConfig(**changes)
