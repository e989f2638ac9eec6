"""State as flat dictionaries of arrays: prefixes, checks before any change, and generators as arrays."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError

Arrays = dict[str, NDArray[np.generic]]

_MASK = (1 << 64) - 1


def with_prefix(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """The arrays under `prefix.name`."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def under_prefix(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """The arrays whose names start with `prefix.`, without it."""
    start = prefix + "."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def check_arrays(
    got: Mapping[str, NDArray[np.generic]], *, expected: Mapping[str, NDArray[np.generic]]
) -> None:
    """Raise InputError unless `got` has exactly the names, shapes and dtypes of `expected`, all finite."""
    missing, extra = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    if missing or extra:
        raise InputError(f"arrays do not match: missing {missing[:3]}, unexpected {extra[:3]}")
    for name, array in got.items():
        want = expected[name]
        if array.shape != want.shape or array.dtype != want.dtype:
            raise InputError(f"{name} is {array.dtype}{array.shape}; expected {want.dtype}{want.shape}")
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise InputError(f"{name} holds values that are not finite")


def generator_to_array(generator: np.random.Generator) -> NDArray[np.uint64]:
    """(6,) uint64: the whole state of a PCG64 generator."""
    state = generator.bit_generator.state
    inner = state["state"]
    words = [
        inner["state"] >> 64,
        inner["state"] & _MASK,
        inner["inc"] >> 64,
        inner["inc"] & _MASK,
        state["has_uint32"],
        state["uinteger"],
    ]
    return np.array(words, np.uint64)


def generator_from_array(words: NDArray[np.generic]) -> np.random.Generator:
    """The PCG64 generator that `generator_to_array` saved; it goes on where that one was.

    >>> one = np.random.Generator(np.random.PCG64(5))
    >>> two = generator_from_array(generator_to_array(one))
    >>> bool(one.integers(1 << 40) == two.integers(1 << 40))
    True
    """
    high, low, inc_high, inc_low, has_uint32, uinteger = (int(word) for word in words)
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(bits)
