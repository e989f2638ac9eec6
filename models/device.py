"""Where and in which precision the torch parts compute: the device, the dtype and the thread count."""

import os
from typing import Literal, get_args

import torch

from models.errors import ConfigError, DeviceError

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]
ServingDtype = Literal["auto", "float32", "bfloat16", "int8"]


def pick_device(device: str) -> torch.device:
    """The device to compute on; `auto` takes the GPU where there is one.

    Raises ConfigError for an unknown name, DeviceError when cuda is asked for and absent.
    """
    if device not in get_args(Device):
        raise ConfigError(f"device is {device!r}; it must be one of {', '.join(get_args(Device))}")
    if device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        _repeatable_on_cuda()
        return torch.device("cuda")
    if device == "cuda":
        raise DeviceError("device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu', or a CUDA torch")
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """What a report calls it: the GPU's own name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _repeatable_on_cuda() -> None:
    """The same log gives the same weights on a GPU too: no kernel of this process may depend on chance.

    cuBLAS reads its variable when it is first used; one that is set already is left as it is.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # nothing here reads memory that it has not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def pick_dtype(dtype: str, *, device: torch.device) -> torch.dtype:
    """The compute dtype; `auto` takes bfloat16 where the hardware multiplies it, float32 elsewhere.

    On a CPU with AVX512-BF16 or AMX a MiniLM layer runs about twice as fast in bfloat16, at a cosine above
    .9999; on a CPU without them bfloat16 is emulated and slower.
    """
    if dtype not in get_args(Dtype):
        raise ConfigError(f"dtype is {dtype!r}; it must be one of {', '.join(get_args(Dtype))}")
    if dtype == "float32":
        return torch.float32
    if dtype == "bfloat16":
        return torch.bfloat16
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_multiplies_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def serving_dtype(dtype: str, *, device: torch.device) -> tuple[torch.dtype, bool]:
    """The dtype of activations, and whether linear layers multiply in int8: `int8` is that, else as `auto`.

    Raises ConfigError for an unknown name, and for int8 elsewhere than on a CPU.
    """
    if dtype not in get_args(ServingDtype):
        raise ConfigError(f"dtype is {dtype!r}; it must be one of {', '.join(get_args(ServingDtype))}")
    int8 = dtype == "int8"
    if int8 and device.type != "cpu":
        raise ConfigError(f"dtype int8 is for the CPU; the device is {device}, use bfloat16 there")
    return pick_dtype("auto" if int8 else dtype, device=device), int8


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has bfloat16 matrix instructions (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def set_threads(threads: int | None) -> None:
    """Give torch this many threads in the whole process; None leaves it as it is.

    Workers that share a machine want 1 each: oversubscription was measured to cost up to 6x.
    """
    if threads is None:
        return
    if threads < 1:
        raise ConfigError(f"threads is {threads}; it must be at least 1, or None to leave torch's own choice")
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
