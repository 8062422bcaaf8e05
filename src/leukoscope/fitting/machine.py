"""The machine a fit runs on: device, number format and layout, fixed at step 0 and written down."""

import ctypes
import importlib.metadata
import platform
from typing import Any

import torch

from leukoscope.foundation.errors import UsageError

_PACKAGES = ("leukoscope", "torch", "timm", "numpy", "opencv-python-headless", "pillow", "polars")

_MALLOC = {
    -4: 0,  # M_MMAP_MAX: no buffer gets a mapping of its own, which freeing would undo
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: what is free at the heap's end stays there
    -2: 64 * 2**20,  # M_TOP_PAD: the heap grows by so much at least
}


def choose_device(name: str) -> torch.device:
    """Choose where to compute.

    Parameters
    ----------
    name : str
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        # Not every device torch can name can also compute: reading a number back proves it.
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, ImportError):
        raise UsageError(
            f"There is no device {name!r} here. Nothing was started. Use auto or cpu."
        ) from None
    return device


def choose_precision(device: torch.device) -> str:
    """Choose the number format that pays on a device, by what its processor can do.

    bfloat16 multiplies faster only where the hardware has instructions for it
    (AMX or AVX-512 BF16 on CPUs; Ampere and later on NVIDIA); elsewhere it is
    emulated and far slower than float32.

    Returns
    -------
    str
        ``"bfloat16"`` or ``"float32"``; the same on every machine of one kind.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return "bfloat16" if able.get("amx_bf16") or able.get("avx512_bf16") else "float32"
    return "float32"


def keep_memory() -> None:
    """Let this process keep the buffers of a step for the next, where the C library is glibc.

    By default it gives each large buffer back to the system, which clears some 90 MB anew at
    every step of ResNet-18 at 64 px: some 8 % of its time (``results/benchmarks/training.json``;
    at 128 px the gain is lost in the noise). It holds for the whole process, a notebook's too,
    until it ends. Numbers are from mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.malloc_trim(0)
    for parameter, value in _MALLOC.items():
        library.mallopt(parameter, value)


def give_back_memory() -> None:
    """Give the system back what this process holds of memory and does not use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def describe(device: torch.device, precision: str) -> dict[str, Any]:
    """Write down what a result may depend on besides its recipe."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(device),
        "device": device.type,
        "precision": precision,
        "layout": "channels_last",
        "threads": torch.get_num_threads(),
        "packages": found,
    }


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor())
