"""The GPU tier filters on the host what its searcher cannot, and is left out where there is no GPU."""

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from index.gpu_tier import GpuTier
from index.items import ItemIndex
from index.main_tier import FlatTier, IvfTier

_DIM = 8
_ALL_LISTS = 1 << 20  # an IVF that reads every list is exact


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
