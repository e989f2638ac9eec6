"""What items are about, from their texts: TF-IDF vectors, how much a list varies, and topics where there are no
categories."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

_WORD = re.compile(r"[^\W\d_]{2,}")
_UNITS_AT_ONCE = 4_096


def tf_idf(texts: Sequence[str]) -> Any:
    """(N, V) float32 CSR matrix of unit rows, or zero rows where a text has no known word.

    Salton & Buckley (1988), with smoothed idf; words of a single text are left out: they tell nothing apart.
    """
    documents = [[word.lower() for word in _WORD.findall(text)] for text in texts]
    counts: dict[str, int] = {}
    for words in documents:
        for word in dict.fromkeys(words):
            counts[word] = counts.get(word, 0) + 1
    kept = {word: at for at, word in enumerate(word for word, count in counts.items() if count > 1)}
    idf = np.array([np.log((1 + len(texts)) / (1 + counts[word])) + 1 for word in kept], np.float32)
    pairs = [(row, kept[word]) for row, words in enumerate(documents) for word in words if word in kept]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    matrix = sparse.csr_matrix(
        (idf[columns], (rows, columns)), shape=(len(texts), len(kept)), dtype=np.float32
    )  # duplicates are summed: tf * idf
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
    return sparse.csr_matrix(sparse.diags(scale) @ matrix)


def list_distances(lists: NDArray[np.int32], *, vectors: Any) -> NDArray[np.float64]:
    """(n,) mean of 1 - cosine over the pairs of each list (n, K) that have vectors; nan below two.

    Intra-list distance: Ziegler et al. (WWW 2005).
    """
    has = np.asarray(vectors.multiply(vectors).sum(1)).ravel() > 0
    found = np.full(len(lists), np.nan)
    for start in range(0, len(lists), _UNITS_AT_ONCE):
        part = lists[start : start + _UNITS_AT_ONCE]
        rows, places = np.nonzero(part >= 0)
        items = part[rows, places]
        rows, items = rows[has[items]], items[has[items]]
        chosen = sparse.csr_matrix(
            (np.ones(len(rows), np.float32), (rows, items)), shape=(len(part), len(has))
        )
        sums = chosen @ vectors  # (units, V)
        m = np.bincount(rows, minlength=len(part)).astype(np.float64)
        squared = np.asarray(sums.multiply(sums).sum(1)).ravel()
        pairs = m * (m - 1)
        similar = np.divide(squared - m, pairs, out=np.full(len(part), np.nan), where=pairs > 0)
        found[start : start + len(part)] = 1.0 - similar
    return found


def topics(vectors: Any, *, n: int = 50, rounds: int = 15, seed: int = 7) -> NDArray[np.int64]:
    """(N,) topic of each item, 0 .. n - 1, and -1 without a text: spherical k-means (Dhillon & Modha 2001),
    begun far apart (k-means++, Arthur & Vassilvitskii 2007)."""
    has = np.flatnonzero(np.asarray(vectors.multiply(vectors).sum(1)).ravel() > 0)
    topic = np.full(vectors.shape[0], -1, np.int64)
    if not len(has):
        return topic
    own = vectors[has]
    centres = own[_far_apart(own, n=min(n, len(has)), seed=seed)].toarray()
    nearest = np.zeros(len(has), np.int64)
    for _ in range(rounds):
        nearest = np.asarray(own @ centres.T).argmax(1)
        member = sparse.csr_matrix(
            (np.ones(len(has), np.float32), (nearest, np.arange(len(has)))), shape=(len(centres), len(has))
        )
        sums = (member @ own).toarray()
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 0, sums / np.maximum(norms, 1e-12), centres)
    topic[has] = nearest
    return topic


def _far_apart(own: Any, *, n: int, seed: int) -> list[int]:
    """At most n rows of (M, V), each drawn in proportion to its squared distance from those before."""
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(own.shape[0]))]
    nearest = np.full(own.shape[0], -1.0)
    while len(chosen) < n:
        nearest = np.maximum(nearest, np.asarray((own @ own[chosen[-1]].T).todense()).ravel())
        apart = np.maximum(1.0 - nearest, 0.0)
        if apart.sum() < 1e-6:
            break  # fewer different texts than topics
        chosen.append(int(rng.choice(len(apart), p=apart / apart.sum())))
    return chosen


def entropies(lists: NDArray[np.int32], *, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) Shannon entropy in bits of the groups (N,) of each list's items; those in group -1 do not count."""
    parts = [
        _entropies(lists[start : start + _UNITS_AT_ONCE], groups=groups)
        for start in range(0, len(lists), _UNITS_AT_ONCE)
    ]
    return np.concatenate([np.zeros(0), *parts])


def _entropies(lists: NDArray[np.int32], *, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    of = np.where(lists >= 0, groups[np.maximum(lists, 0)], -1)  # (n, K)
    members = (of >= 0).sum(1)
    same = (of[:, :, None] == of[:, None, :]) & (of >= 0)[:, None, :]  # (n, K, K)
    share = same.sum(2) / np.maximum(members, 1)[:, None]
    # The mean over a list's items of -log2(share of the item's group) is the entropy of the groups.
    bits = np.where(of >= 0, -np.log2(np.maximum(share, 1e-12)), 0.0).sum(1)
    found: NDArray[np.float64] = np.where(members > 0, bits / np.maximum(members, 1), np.nan)
    return found
