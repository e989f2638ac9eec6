"""Our SASRec on the data and by the protocol of a paper: how near the published figures it comes.

`python -m bench.sasrec_check Beauty.txt` with a file of the S3-Rec repository (RUCAIBox/CIKM2020-S3Rec, data/):
one shopper a line, the shopper's number and then items in their order. Not shipped: the data is Amazon's reviews.

The last item of a shopper is the test, the one before validates, the rest is learnt; all items are ranked but
those that the shopper had. The epoch with the best NDCG@10 in validation is tested.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.machine import Machine
from models.baselines.sasrec import SasRec, SasRecConfig, SasRecTrainer

PUBLISHED = {
    "S3-Rec (Zhou et al., CIKM 2020), its repository, SASRec on Beauty, all items ranked, one negative": {
        "hr@5": 0.0387, "ndcg@5": 0.0249, "hr@10": 0.0605, "ndcg@10": 0.0318,
    },
}  # fmt: skip
_AT_ONCE = 512  # shoppers ranked together

Sequences = list[NDArray[np.int64]]


def read(file: Path) -> Sequences:
    """Every shopper's items in order, numbered from 1. ValueError where a line is not numbers above 0."""
    sequences = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        words = line.split()
        if len(words) < 4 or not all(word.isdecimal() and int(word) > 0 for word in words):
            raise ValueError(
                f"{file}, line {number}: expected a shopper's number and at least 3 items as whole "
                f"numbers above 0, got {line[:80]!r}"
            )
        sequences.append(np.array(words[1:], np.int64))
    return sequences


def ranks(model: SasRec, sequences: Sequences) -> NDArray[np.int64]:
    """(S,) the place, from 0, of each sequence's last item among the items that its shopper had not had."""
    length, found = model.config.length, []
    model.eval()
    for start in range(0, len(sequences), _AT_ONCE):
        some = sequences[start : start + _AT_ONCE]
        history = np.zeros((len(some), length), np.int64)
        for row, sequence in zip(history, some, strict=True):
            kept = sequence[:-1][-length:]
            row[-len(kept) :] = kept
        with torch.inference_mode():
            asked = model(torch.from_numpy(history))[:, -1]  # (B, D)
            scores = (asked @ model.items.weight.T).numpy()  # (B, N + 1)
        scores[:, 0] = -np.inf
        for row, sequence in zip(scores, some, strict=True):
            score = row[sequence[-1]]
            row[sequence[:-1]] = -np.inf
            found.append(int(np.count_nonzero(row > score)))
    return np.array(found, np.int64)


def metrics(places: NDArray[np.int64]) -> dict[str, float]:
    """HR and NDCG at 5 and 10 of one right answer each.

    >>> metrics(np.array([0, 7]))
    {'hr@5': 0.5, 'ndcg@5': 0.5, 'hr@10': 1.0, 'ndcg@10': 0.6577}
    """
    gains = 1.0 / np.log2(places + 2.0)
    return {
        name: round(float(value), 4)
        for k in (5, 10)
        for name, value in (
            (f"hr@{k}", np.mean(places < k)),
            (f"ndcg@{k}", np.mean(np.where(places < k, gains, 0.0))),
        )
    }


def check(
    sequences: Sequences, *, config: SasRecConfig, epochs: int, patience: int, seed: int = 7
) -> dict[str, Any]:
    """Train, choose the epoch and test: {"test", "validation", "epoch", "seconds"}."""
    n_items = int(max(sequence.max() for sequence in sequences))
    learnt = [sequence[:-2] for sequence in sequences if len(sequence) > 3]
    validating = [sequence[:-1] for sequence in sequences]
    trainer = SasRecTrainer(n_items=n_items, config=config, seed=seed)
    started, best, kept, at = perf_counter(), -1.0, dict[str, Any](), 0
    for epoch in range(1, epochs + 1):
        loss = trainer.one_pass(learnt)
        validation = metrics(ranks(trainer.model, validating))
        print(
            f"  {perf_counter() - started:6.0f} s  epoch {epoch}, loss {loss:.3f}, validation {validation}",
            file=sys.stderr,
        )
        if validation["ndcg@10"] > best:
            best, at = validation["ndcg@10"], epoch
            test = metrics(ranks(trainer.model, sequences))
            kept = {"test": test, "validation": validation, "epoch": epoch}
        elif epoch - at >= patience:
            break
    return {**kept, "seconds": round(perf_counter() - started)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path, help="one shopper a line: number, items in order")
    parser.add_argument("--epochs", type=int, default=100, help="at most")
    parser.add_argument("--patience", type=int, default=5, help="epochs without a better validation")
    parser.add_argument("--dropout", type=float, default=0.5, help="the papers' for Beauty")
    parser.add_argument("--json", type=Path, help="write the result here")
    asked = parser.parse_args()
    machine = Machine.describe(["python", "-m", "bench.sasrec_check", *sys.argv[1:]])
    config = SasRecConfig(dropout=asked.dropout, batch=128)
    sequences = read(asked.file)
    found = check(sequences, config=config, epochs=asked.epochs, patience=asked.patience)
    report = {
        "file": asked.file.name, "shoppers": len(sequences), "events": sum(map(len, sequences)), **found,
        "config": asdict(config), "published": PUBLISHED, "machine": asdict(machine),
    }  # fmt: skip
    print(json.dumps({name: report[name] for name in ("test", "epoch", "seconds", "published")}, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
