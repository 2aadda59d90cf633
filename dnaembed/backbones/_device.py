"""Where and in which precision to compute, and what to do when memory runs out."""

import torch

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto"`` into the best device of this machine; refuse one that is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a torch device: {error}") from None
    there = True
    if resolved.type == "cuda":
        there = (resolved.index or 0) < torch.cuda.device_count()
    elif resolved.type == "mps":
        there = torch.backends.mps.is_available()
    if not there:
        raise ValueError(
            f"device={device!r} is not available on this machine; use device='auto' or 'cpu'."
        )
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Turn ``"auto"`` into bfloat16 where the GPU computes in it, float32 elsewhere."""
    if dtype != "auto":
        return DTYPES[dtype]
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failed computation may succeed with a smaller batch."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU and MPS allocators raise a plain RuntimeError.
    message = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in message or "can't allocate memory" in message
    )
