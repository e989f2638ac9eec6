"""The GPU tier filters on the host what its searcher cannot, and is left out where there is no GPU."""

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.gpu_tier import GpuTier, usable_device
from index.items import ItemIndex
from index.main_tier import FlatTier, IvfTier

_DIM = 8
_ALL_LISTS = 1 << 20  # an IVF that reads every list is exact
needs_a_gpu = pytest.mark.skipif(usable_device("auto") == "cpu", reason="FAISS sees no GPU")


def _vectors(n: int, *, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, _DIM)).astype(np.float32)


def test_gpu_without_a_gpu_falls_back_with_a_clear_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        index = ItemIndex(_DIM, device="gpu")
    if index.device_used == "cpu":
        assert "searching on the CPU" in caplog.text
    with pytest.raises(ValueError, match="'cpu', 'gpu' or 'auto'"):
        ItemIndex(_DIM, device="tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
def test_the_gpu_tier_filters_like_the_host_although_its_searcher_takes_no_filter(
    kind: str, share: float
) -> None:
    rows = np.random.default_rng(1).permutation(np.arange(1, 3_001)).astype(np.int32)
    vectors = _vectors(3_000, seed=10).astype(np.float16)
    host = (
        FlatTier.build(rows, vectors) if kind == "flat" else IvfTier.build(rows, vectors, nprobe=_ALL_LISTS)
    )
    searcher = host.faiss_index()
    keep = np.random.default_rng(2).random(3_001) < share
    keep[0] = False
    queries = _vectors(6, seed=11)
    for n in (1, 40, 2_500):
        found = GpuTier(host, searcher=searcher).search(queries, n, keep=keep)
        true = host.search(queries, n, keep=keep)
        np.testing.assert_array_equal(found[0], true[0])
        np.testing.assert_allclose(found[1], true[1], rtol=1e-5, atol=1e-5)


@needs_a_gpu
@pytest.mark.parametrize("limit_flat", [100_000, 1_000], ids=["flat", "ivf"])
def test_a_gpu_finds_what_the_cpu_finds(limit_flat: int) -> None:
    host, device = (
        ItemIndex(32, device=name, main_limit_flat=limit_flat, nprobe=_ALL_LISTS) for name in ("cpu", "gpu")
    )
    vectors = np.random.default_rng(3).standard_normal((9_000, 32), np.float32)
    rows = np.arange(1, 9_001, dtype=np.int32)
    allowed = np.random.default_rng(4).random(9_001) < 0.3
    queries = np.random.default_rng(5).standard_normal((50, 32), np.float32)
    for index in (host, device):
        index.upsert(rows, vectors)
        index.rebuild()
        index.remove(rows[:700])
        index.upsert(rows[800:900], vectors[:100])
    assert (device.device_used, device.main_kind) == ("gpu", host.main_kind)
    for filtered in (None, allowed):
        true, true_scores = host.search(queries, 20, allowed=filtered)
        found, scores = device.search(queries, 20, allowed=filtered)
        shared = [len(np.intersect1d(a, b)) / 20 for a, b in zip(true, found, strict=True)]
        assert np.mean(shared) > 0.99  # queries are rounded to float16 there: near ties may change places
        np.testing.assert_allclose(scores, true_scores, atol=0.02)


@needs_a_gpu
def test_an_index_saved_with_a_gpu_is_read_without_one(tmp_path: Path) -> None:
    index = ItemIndex(16, device="gpu", main_limit_flat=500, nprobe=_ALL_LISTS)
    vectors = np.random.default_rng(6).standard_normal((2_000, 16), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index.upsert(np.arange(1, 2_001, dtype=np.int32), vectors)
    index.rebuild()
    index.snapshot(tmp_path / "saved")
    queries = vectors[:40]
    for device in ("cpu", "gpu"):
        again = ItemIndex.load(tmp_path / "saved", device=device)
        assert again.device_used == device
        np.testing.assert_array_equal(again.search(queries, 1)[0][:, 0], np.arange(1, 41))
