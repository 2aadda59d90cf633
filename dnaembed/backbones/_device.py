"""Where and in which precision to compute, and what to do when memory runs out."""

from __future__ import annotations

from ..utils._torch import torch

DTYPES = ("float32", "float16", "bfloat16")


def resolve_device(device: str, is_light: bool = False) -> torch.device:
    """Turn ``"auto"`` into the best device of this machine; refuse one that is not there.

    For a model that `is_light` the CPU is good enough, and its rows are the same on every machine.
    """
    if device == "auto" and is_light:
        return torch.device("cpu")
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        advice = 'give "auto", "cpu", "cuda", "cuda:1" or "mps"'
        raise ValueError(f"device={device!r} is not a torch device: {advice}.") from error
    absent = resolved.type == "mps" and not torch.backends.mps.is_available()
    if resolved.type == "cuda":
        absent = (resolved.index or 0) >= torch.cuda.device_count()
    if absent:
        advice = "use device='auto' or 'cpu'"
        raise ValueError(f"device={device!r} is not available on this machine; {advice}.")
    return resolved


def resolve_dtype(dtype: str, device: torch.device, is_light: bool = False) -> torch.dtype:
    """Turn ``"auto"`` into bfloat16 where the device multiplies it, float32 elsewhere."""
    if dtype != "auto":
        return getattr(torch, dtype)  # type: ignore[no-any-return]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and not is_light and cpu_multiplies_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16: AVX512-BF16 or AMX."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not in all versions of torch
    return any(getattr(torch.cpu, name, bool)() for name in names)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failed computation may succeed with a smaller batch."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU and MPS allocators raise a plain RuntimeError.
    said = str(error).lower()
    lacks = "out of memory" in said or "can't allocate memory" in said
    return isinstance(error, RuntimeError) and lacks
