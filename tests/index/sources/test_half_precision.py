"""float16 arithmetic in kernels equals numpy's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from index.sources.half_precision import add_vector, as_float32, dot3, normalise


def test_every_float16_converts_as_in_numpy() -> None:
    @njit
    def convert(bits, out):  # type: ignore[no-untyped-def]
        for at in range(len(bits)):
            out[at] = as_float32(bits[at])

    bits = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    out = np.zeros(len(bits), np.float32)
    convert(bits, out)
    np.testing.assert_array_equal(out, bits.view(np.float16).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), size=st.sampled_from([1, 7, 384]))
def test_products_sums_and_lengths_agree_with_numpy(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=size).astype(np.float16)
    others = rng.normal(size=(3, size)).astype(np.float32)
    found = dot3(half.view(np.uint16), *others)
    np.testing.assert_allclose(found, others @ half.astype(np.float32), rtol=1e-4, atol=1e-4)
    total = others[0].copy()
    add_vector(total, half.view(np.uint16), 0.5)
    np.testing.assert_allclose(total, others[0] + 0.5 * half.astype(np.float32), rtol=1e-5, atol=1e-6)
    normalise(total)
    np.testing.assert_allclose(np.linalg.norm(total), 1.0, rtol=1e-5)


def test_zeros_stay_zeros() -> None:
    zeros = np.zeros(5, np.float32)
    normalise(zeros)
    assert not zeros.any()
