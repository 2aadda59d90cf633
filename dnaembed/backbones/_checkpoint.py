"""Read and write model folders without trusting what is in them.

Nothing in a folder is run, no link out of it is followed, and a tensor is only brought into memory
after its name and shape were found to be those that the model needs. Sizes in a configuration are
checked before anything is built: a folder can neither take forever nor fill the memory.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils._messages import printable
from ..utils._torch import torch

if TYPE_CHECKING:
    from torch import nn

# In the order of preference.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

# Of a JSON file, and of the pickle in a torch archive, which holds names and shapes, no weights.
MAX_BYTES = 16_000_000

# The published models have 12 layers, 117 M parameters, and at most 3072 columns anywhere.
MAX_LAYERS = 1024
MAX_PARAMETERS = 10**10
MAX_COLUMNS = 65_536
# Shorter windows would make a long sequence into many times the work that it is.
MIN_WINDOW = 64


def check_integer(name: str, value: Any, low: int = 1, high: int = MAX_COLUMNS) -> int:
    """Return an integer in a range; raise with the name of the parameter otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high:,}, got {shown(value)}.")
    return int(value)


def check_number(name: str, value: Any, high: float, *, positive: bool = False) -> float:
    """Return a number from 0 up to, without, `high`; raise with the name of the parameter."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < high or (positive and not value):
        bounds = f"{'above' if positive else 'from'} 0 and below {high:g}"
        raise ValueError(f"{name} must be a number {bounds}, got {shown(value)}.")
    return float(value)


def shown(value: Any) -> str:
    """Return a value of any origin as it can stand in a message."""
    return printable(repr(value))


def read_json(file: Path) -> dict[str, Any]:
    """Parse a small JSON object."""
    if not file.is_file():
        is_run = (inner := file.parent / "model" / file.name).is_file()
        hint = f" The model of this run is {inner.parent}." if is_run else " Is this a model?"
        raise FileNotFoundError(f"{file}: file not found.{hint}")
    check_inside(file)
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file}: at most {MAX_BYTES:,} bytes are expected.")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON: {printable(str(error))}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: a JSON object is expected, got {type(content).__name__}.")
    return content


def check_inside(file: Path) -> None:
    """Raise if a file of a model folder is a link to elsewhere, such as a file of the user's."""
    folder = file.parent.resolve()
    places = [folder]
    if folder.parent.name == "snapshots":  # the hub's download cache links to its own store
        places.append(folder.parent.parent / "blobs")
    if not any(file.resolve().is_relative_to(place) for place in places):
        why = "a link that leads out of the folder is not followed; put the file there"
        raise ValueError(f"{file}: {why}.")


def weights_file(folder: Path) -> Path:
    """Find the file with the weights of a model folder."""
    for name in WEIGHT_FILES:
        if (file := folder / name).is_file():
            check_inside(file)
            return file
    raise FileNotFoundError(f"{folder}: no weights found; {' or '.join(WEIGHT_FILES)} is expected.")


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Map the tensors of a safetensors or torch file; numbers are read when they are used."""
    from safetensors.torch import load_file

    safe = file.suffix == ".safetensors"
    try:
        if safe:  # the library compares shapes and sizes with the length of the file
            return load_file(file)
        _check_archive(file)
        # torch's restricted unpickler runs no code of the file.
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        why = "it holds objects other than tensors, which could run code when loaded"
        message = f"{file}: refused, because {why}. Ask its author for a safetensors file."
        raise ValueError(message) from error
    except Exception as error:  # on damaged files torch and zipfile raise nearly anything
        kind, reason = "safetensors" if safe else "torch weight", printable(str(error), 200)
        raise ValueError(f"{file}: not a valid {kind} file: {reason}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{file}: a table of tensors is expected, got {type(content).__name__}.")
    for name, tensor in content.items():
        plain = isinstance(name, str) and isinstance(tensor, torch.Tensor)
        if not plain or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{file}: a plain tensor is expected at {printable(repr(name))}.")
    return dict(content)


def _check_archive(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            # torch never compresses; a few bytes that unfold to gigabytes would be an attack.
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"compressed entry {entry.filename!r}; plain ones are expected")
            if entry.filename.endswith(".pkl") and entry.file_size > MAX_BYTES:
                raise ValueError(f"at most {MAX_BYTES:,} bytes of names and shapes are expected")


def load_weights(
    model: nn.Module, file: Path, *, rename: Callable[[str], str | None] = lambda name: name
) -> None:
    """Give a model that lies on torch's meta device the weights in a file, in float32.

    Names and shapes are compared before any number is read. `rename` gives the model's name of a
    stored tensor, or None to leave it out.
    """
    expected = model.state_dict()
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in read_tensors(file).items():
        renamed = rename(name)
        if renamed is None:
            continue
        if renamed in stored:
            raise ValueError(f"{file}: two tensors are candidates for {printable(renamed)}.")
        stored[renamed] = tensor
    try:
        model.load_state_dict(stored, strict=True, assign=True)
    except RuntimeError as error:
        problem = printable(str(error).partition("\n")[2], 400)
        raise ValueError(f"{file}: the weights do not fit the configuration: {problem}") from None
    # In a pickle, tensors may share their numbers, or repeat one number to any size: a file of a
    # few kilobytes would fill the memory.
    promised = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    there = file.stat().st_size
    if promised > there:
        what = f"tensors of {promised:,} bytes are promised"
        raise ValueError(f"{file}: {what}, but the file has {there:,}.")
    with torch.inference_mode(False):
        for name, tensor in stored.items():
            like = expected[name]
            if tensor.is_floating_point() != like.is_floating_point():
                raise ValueError(f"{file}: tensor {name} holds {tensor.dtype}, not {like.dtype}.")
            dtype = torch.float32 if like.is_floating_point() else like.dtype
            # A copy: what is mapped would change or vanish with the file.
            stored[name] = tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
            if not bool(torch.isfinite(stored[name]).all()):
                raise ValueError(f"{file}: tensor {name} holds NaN or infinity.")
    model.load_state_dict(stored, strict=True, assign=True)


def write_weights(model: nn.Module, folder: Path) -> None:
    """Write ``model.safetensors``."""
    from safetensors.torch import save_file

    file = folder / "model.safetensors"
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, file, metadata={"format": "pt"})
    # safetensors makes the file private; give it the permissions of the others.
    file.chmod((folder / "config.json").stat().st_mode)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, readable by people."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def file_sha256(file: Path) -> str:
    """Digest of a file, as ``sha256sum`` prints it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def numbers(model: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights by name, floating ones as float32."""
    tensors = ((name, t.detach().to("cpu")) for name, t in model.state_dict().items())
    return {n: (t.float() if t.is_floating_point() else t).numpy() for n, t in tensors}


def content_digest(
    description: Mapping[str, Any], text: str, weights: Mapping[str, np.ndarray]
) -> str:
    """Digest of what decides an embedding: sizes, a text for a tokenizer, weights as float32."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(json.dumps(description, sort_keys=True).encode() + b"\0" + text.encode())
    for name, array in sorted(weights.items()):
        digest.update(f"\0{name} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def weights_state(model: nn.Module) -> tuple[Any, ...]:
    """Return something cheap that changes when weights do: place, version and a sample of each."""
    state: list[Any] = []
    for tensor in model.state_dict().values():
        flat = tensor.detach().reshape(-1)
        # The sample sees assignments to `.data`, which the version counter does not.
        sample = tuple(flat[:: max(1, math.ceil(flat.numel() / 32))].tolist())
        version = -1 if tensor.is_inference() else tensor._version
        state.append((tensor.data_ptr(), tensor.dtype, version, sample))
    return tuple(state)
