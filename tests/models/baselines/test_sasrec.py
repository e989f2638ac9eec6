import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.baselines.sasrec import SasRec, SasRecConfig, SasRecTrainer

SMALL = SasRecConfig(width=16, heads=2, length=8, dropout=0.1, learning_rate=1e-2, batch=32, negatives=16)


def _walks(n: int, *, noise: bool, seed: int = 0) -> list[NDArray[np.int64]]:
    """Sequences over items 1 to 20: each follows the last by 1 or, after an item of 5, jumps by 7; or any."""
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(n):
        walk = [int(rng.integers(1, 21))]
        for _ in range(7):
            ahead = 7 if walk[-1] % 5 == 0 else 1
            walk.append(int(rng.integers(1, 21)) if noise else (walk[-1] - 1 + ahead) % 20 + 1)
        walks.append(np.array(walk, np.int64))
    return walks


def _hits(trainer: SasRecTrainer, walks: list[NDArray[np.int64]]) -> float:
    known = np.arange(1, 21)
    best = [trainer.model.best(walk[:-1], k=3, known=known) for walk in walks]
    return float(np.mean([walk[-1] in found for walk, found in zip(walks, best, strict=True)]))


def test_learns_a_planted_order_and_nothing_from_noise() -> None:
    trainer = SasRecTrainer(n_items=20, config=SMALL, seed=0)
    train = _walks(300, noise=False)
    losses = [trainer.one_pass(train) for _ in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    assert _hits(trainer, _walks(60, noise=False, seed=9)) > 0.95
    trainer = SasRecTrainer(n_items=20, config=SMALL, seed=0)
    for _ in range(12):
        trainer.one_pass(_walks(300, noise=True))
    assert _hits(trainer, _walks(200, noise=True, seed=9)) < 0.3


def test_reaches_the_best_possible_on_a_chain_of_known_chances() -> None:
    """Every item has three successors of its own, with chances of .6, .3 and .1: nobody can do better."""
    rng = np.random.default_rng(3)
    successors = np.array([rng.permutation(np.arange(1, 21))[:3] for _ in range(21)])  # row 0 unused

    def walk() -> NDArray[np.int64]:
        found = [int(rng.integers(1, 21))]
        for _ in range(8):
            found.append(int(rng.choice(successors[found[-1]], p=(0.6, 0.3, 0.1))))
        return np.array(found, np.int64)

    trainer = SasRecTrainer(n_items=20, config=SMALL, seed=0)
    for _ in range(15):
        trainer.one_pass([walk() for _ in range(200)])
    fresh, known = [walk() for _ in range(500)], np.arange(1, 21)
    best = [trainer.model.best(each[:-1], k=2, known=known) for each in fresh]
    first = np.mean([each[-1] == found[0] for each, found in zip(fresh, best, strict=True)])
    either = np.mean([each[-1] in found for each, found in zip(fresh, best, strict=True)])
    assert first > 0.6 - 0.07  # 0.022 is one standard error of 500
    assert either > 0.9 - 0.05


def test_a_place_sees_nothing_after_it_and_nothing_of_the_padding() -> None:
    torch.manual_seed(0)
    network = SasRec(n_items=20, config=SMALL).eval()
    history = torch.tensor([[3, 4, 5, 6]])
    changed = torch.tensor([[3, 4, 5, 9]])
    with torch.inference_mode():
        assert torch.allclose(network(history)[:, :3], network(changed)[:, :3], atol=1e-6)
        padded = torch.tensor([[0, 0, 3, 4, 5, 6]])
        assert torch.allclose(network(padded)[:, -4:], network(history), atol=1e-5)


def test_proposes_only_known_items_and_reads_the_latest_of_a_long_history() -> None:
    trainer = SasRecTrainer(n_items=20, config=SMALL, seed=0)
    known = np.array([2, 7, 11])
    long = np.arange(1, 20)
    best = trainer.model.best(long, k=5, known=known)
    assert sorted(best.tolist()) == [2, 7, 11]
    assert np.array_equal(best, trainer.model.best(long[-SMALL.length :], k=5, known=known))


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    trainers = [SasRecTrainer(n_items=20, config=SMALL, seed=1) for _ in range(2)]
    for trainer in trainers:
        trainer.one_pass(_walks(40, noise=False))
    assert torch.equal(*(trainer.model.items.weight for trainer in trainers))
    assert torch.equal(torch.get_rng_state(), state)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        SasRecConfig(width=10, heads=3)
    with pytest.raises(ValueError, match="dropout is 1"):
        SasRecConfig(dropout=1)
