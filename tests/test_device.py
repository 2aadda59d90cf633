import pytest
import torch

from dnaembed._device import is_out_of_memory, resolve_device, resolve_dtype


def test_auto_finds_something_that_computes():
    device = resolve_device("auto")
    assert torch.ones(1, device=device).item() == 1
    assert resolve_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("name", "message"),
    [("abacus", "not a torch device"), ("cuda:99", "not available on this machine")],
)
def test_a_device_that_is_not_there(name, message):
    with pytest.raises(ValueError, match=message):
        resolve_device(name)


def test_dtype():
    cpu = torch.device("cpu")
    assert resolve_dtype("auto", cpu) == torch.float32
    assert resolve_dtype("bfloat16", cpu) == torch.bfloat16
    assert resolve_dtype("int8", cpu) == torch.int8
    with pytest.raises(ValueError, match="dtype='int8' is for device='cpu', got device meta"):
        resolve_dtype("int8", torch.device("meta"))


def test_out_of_memory_is_told_from_other_errors():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))
