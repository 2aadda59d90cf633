import pytest
import torch

from dnaembed.backbones import _device
from dnaembed.backbones._device import is_out_of_memory, resolve_device, resolve_dtype


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) == expected


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_prefers_the_faster_device(cuda, mps, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == torch.device(expected)


def test_a_gpu_is_there_or_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1").index == 1
    missing = "is not available on this machine"
    for name, what in (("cuda:2", missing), ("mps", missing), ("abacus", "is not a torch device")):
        with pytest.raises(ValueError, match=f"device='{name}' {what}"):
            resolve_device(name)


@pytest.mark.parametrize(("supported", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_where_the_device_multiplies_it(supported, dtype, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert resolve_dtype("auto", torch.device("cuda")) == dtype
    monkeypatch.setattr(_device, "cpu_multiplies_bfloat16", lambda: supported)
    assert resolve_dtype("auto", torch.device("cpu")) == dtype
    assert resolve_dtype("auto", torch.device("cpu"), is_light=True) == torch.float32
    assert resolve_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
