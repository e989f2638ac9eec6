"""Lists beyond accuracy: texts, groups, exposure; against sums written out."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from load.prequential.beyond import ItemFacts, beyond_accuracy, gini
from load.prequential.texts import entropies, list_distances, tf_idf, topics
from load.prequential.units import Known, Units

TEXTS = ["red mug", "red mug big", "blue lamp", "blue lamp big", "", "unique"]


def test_texts_that_share_words_are_near_and_empty_ones_have_no_vector() -> None:
    vectors = tf_idf(TEXTS).toarray()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 1, 0, 0])
    assert vectors[0] @ vectors[1] > vectors[1] @ vectors[3] > 0
    assert vectors[0] @ vectors[2] == 0


def test_list_distance_is_the_mean_over_pairs() -> None:
    vectors = tf_idf(TEXTS)
    lists = np.array([[0, 1, 2, -1], [0, 4, 5, -1], [3, 2, 1, 0]], np.int32)
    dense = vectors.toarray()
    found = list_distances(lists, vectors=vectors)
    for row in (0, 2):
        pairs = itertools.combinations([item for item in lists[row] if item >= 0], 2)
        expected = np.mean([1 - dense[a] @ dense[b] for a, b in pairs])
        assert found[row] == pytest.approx(expected, abs=1e-6)
    assert math.isnan(found[1])  # one item with a text has no pair


def test_topics_put_like_texts_together() -> None:
    texts = [
        "red mug",
        "red mug with a handle",
        "red mug of tin",
        "blue lamp",
        "tall blue lamp",
        "blue lamp!",
    ]
    found = topics(tf_idf(texts), n=2)
    assert len(set(found[:3].tolist())) == len(set(found[3:].tolist())) == 1
    assert found[0] != found[3]
    assert topics(tf_idf(["", ""])).tolist() == [-1, -1]


def test_entropy_is_of_the_groups_of_each_list() -> None:
    groups = np.array([0, 0, 1, 2, -1])
    lists = np.array([[0, 1, 2, 3], [0, 1, 4, -1], [4, -1, -1, -1]], np.int32)
    found = entropies(lists, groups=groups)
    assert found[0] == pytest.approx(1.5)
    assert found[1] == 0
    assert math.isnan(found[2])


def test_gini_is_as_defined_by_mean_differences() -> None:
    counts = np.random.default_rng(1).integers(0, 50, size=30).astype(float)
    differences = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))
    assert gini(np.zeros(3)) == 0


def test_exposure_is_told_from_the_counts_so_far() -> None:
    n = 8
    zeros = np.zeros(n, np.int64)
    units = Units(
        np.arange(n), zeros, zeros, zeros, zeros, np.array([0, 0, 1, 2, 3, 4, 0, 0]), np.arange(1, n + 1)
    )
    counted = np.arange(n) >= 4
    known = Known(counted, counted, zeros, counted, zeros)
    lists = np.full((n, 20), -1, np.int32)
    lists[:, 0] = 0  # the most popular
    lists[4:, 1] = [1, 2, 3, 5]
    found = beyond_accuracy(lists, units=units, known=known, n_items=10, facts=ItemFacts())
    reach = 6  # items 0 to 4 of the stream and 5, which was shown
    assert found["coverage"] == pytest.approx(5 / reach)
    assert found["tail_exposure"] == pytest.approx(0.5)
    seen = [Counter([0, 0, 1, 2][:at] if at < 4 else [0, 0, 1, 2, 3, 4, 0, 0][:at]) for at in range(n)]
    expected = [
        -math.log2(max(seen[at][item], 1) / at) for at in range(4, n) for item in lists[at] if item >= 0
    ]
    assert found["novelty_bits"] == pytest.approx(np.mean(expected))
    assert found["list_length"] == 2
    assert "list_distance" not in found
