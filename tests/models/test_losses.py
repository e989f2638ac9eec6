import pytest
import torch

from models.losses import listwise_softmax, mean_bce

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_listwise_of_one_positive_is_minus_its_log_softmax() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5]])
    loss = listwise_softmax(scores, targets=torch.tensor([[0.0, 1.0, 0.0]]), valid=ALL)
    assert loss.item() == pytest.approx(-torch.log_softmax(scores, 1)[0, 1].item())


def test_gains_share_the_target_whatever_their_scale() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5]])
    once = listwise_softmax(scores, targets=torch.tensor([[1.0, 3.0, 0.0]]), valid=ALL)
    tenfold = listwise_softmax(scores, targets=torch.tensor([[10.0, 30.0, 0.0]]), valid=ALL)
    log_p = torch.log_softmax(scores, 1)[0]
    assert once.item() == pytest.approx(-(0.25 * log_p[0] + 0.75 * log_p[1]).item())
    assert tenfold.item() == pytest.approx(once.item())


def test_padding_changes_neither_loss_nor_gradient() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5, 99.0]], requires_grad=True)
    valid = torch.tensor([[True, True, True, False]])
    targets = torch.tensor([[0.0, 1.0, 0.0, 5.0]])
    padded = listwise_softmax(scores, targets=targets, valid=valid)
    plain = listwise_softmax(scores[:, :3].detach(), targets=targets[:, :3], valid=ALL)
    assert padded.item() == pytest.approx(plain.item())
    padded.sum().backward()
    assert scores.grad is not None
    assert scores.grad[0, 3].item() == 0.0
    assert torch.isfinite(scores.grad).all()


def test_a_unit_without_positives_or_without_candidates_costs_nothing() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    valid = torch.tensor([[True, True, True], [False, False, False]])
    loss = listwise_softmax(scores, targets=torch.zeros(2, 3), valid=valid)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert scores.grad is not None
    assert not scores.grad.any()


def test_logq_makes_a_sampled_softmax_estimate_the_full_one() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(1, 2001, generator=generator, dtype=torch.float64)
    targets = torch.zeros(1, 2001, dtype=torch.float64)
    targets[0, 0] = 1.0
    full = listwise_softmax(scores, targets=targets, valid=torch.ones(1, 2001, dtype=torch.bool)).item()
    kept = 200
    logq = torch.full((1, 1 + kept), kept / 2000, dtype=torch.float64).log()
    logq[0, 0] = 0.0
    corrected, naive = [], []
    for _ in range(60):
        columns = torch.cat(
            [torch.zeros(1, dtype=torch.long), 1 + torch.randperm(2000, generator=generator)[:kept]]
        )
        sample, labels = scores[:, columns], targets[:, columns]
        valid = torch.ones_like(sample, dtype=torch.bool)
        corrected.append(listwise_softmax(sample, targets=labels, valid=valid, logq=logq).item())
        naive.append(listwise_softmax(sample, targets=labels, valid=valid).item())
    assert sum(corrected) / 60 == pytest.approx(full, abs=0.03)
    assert abs(sum(naive) / 60 - full) > 1.0


def test_bce_is_the_mean_over_valid_candidates() -> None:
    scores = torch.tensor([[0.3, -1.0, 50.0]])
    valid = torch.tensor([[True, True, False]])
    loss = mean_bce(scores, targets=torch.tensor([[1.0, 0.0, 0.0]]), valid=valid)
    expected = -(torch.sigmoid(torch.tensor(0.3)).log() + torch.sigmoid(torch.tensor(1.0)).log()) / 2
    assert loss.item() == pytest.approx(expected.item())


def test_bce_logq_lets_sampled_candidates_stand_for_all() -> None:
    scores = torch.tensor([[0.3, -1.0]])
    logq = torch.tensor([[0.0, 0.5]]).where(torch.tensor([[True, False]]), torch.tensor(0.5).log())
    weighted = mean_bce(
        scores, targets=torch.tensor([[1.0, 0.0]]), valid=torch.ones(1, 2, dtype=torch.bool), logq=logq
    )
    twice = mean_bce(torch.tensor([[0.3, -1.0, -1.0]]), targets=torch.tensor([[1.0, 0.0, 0.0]]), valid=ALL)
    assert weighted.item() == pytest.approx(twice.item())
