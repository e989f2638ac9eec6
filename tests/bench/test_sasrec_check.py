"""The check of SASRec ranks as the paper's protocol says, and finds an order that is there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.sasrec_check import check, metrics, ranks, read
from models.baselines.sasrec import SasRec, SasRecConfig

SMALL = SasRecConfig(width=16, blocks=1, heads=1, length=8, dropout=0.0, learning_rate=0.01, batch=16)


def test_lines_are_read_and_a_broken_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("1 4 2 9\n2 7 7 1 3\n")
    assert [sequence.tolist() for sequence in read(file)] == [[4, 2, 9], [7, 7, 1, 3]]
    for broken in ("3 1 2", "3 1 2 x", "3 1 2 0"):
        file.write_text(f"1 4 2 9\n{broken}\n")
        with pytest.raises(ValueError, match="line 2"):
            read(file)


def test_rank_counts_the_better_items_that_the_shopper_had_not() -> None:
    model = SasRec(n_items=6, config=SMALL)
    with torch.no_grad():
        history = torch.tensor([[0] * 6 + [1, 2]])
        scores = (model.eval()(history)[0, -1] @ model.items.weight.T).numpy()
    for target in (3, 4, 5, 6):
        better = sum(scores[item] > scores[target] for item in (3, 4, 5, 6))
        assert ranks(model, [np.array([1, 2, target])]).tolist() == [better]


def test_measures_are_those_of_one_right_answer() -> None:
    assert metrics(np.array([0, 1, 5, 10])) == pytest.approx(
        {"hr@5": 0.5, "hr@10": 0.75, "ndcg@5": (1 + 1 / np.log2(3)) / 4, "ndcg@10": 0.4968}, abs=1e-4
    )


def test_a_planted_order_is_found() -> None:
    rng = np.random.default_rng(3)
    items = 40
    sequences = [(start + np.arange(7)) % items + 1 for start in rng.integers(items, size=300)]
    found = check(sequences, config=SMALL, epochs=15, patience=15)
    assert found["test"]["hr@5"] > 0.9
    assert found["test"]["hr@10"] <= 1.0
    untaught = ranks(SasRec(n_items=items, config=SMALL), sequences)
    assert metrics(untaught)["hr@5"] < 0.5
