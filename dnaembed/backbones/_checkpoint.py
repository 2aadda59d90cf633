"""Read and write checkpoint folders, without trusting what is in them.

Whatever a folder holds, nothing in it is executed, nothing outside it is named, and a tensor is
only brought into memory after its name and shape were found to be those that the model needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from ..utils._messages import printable

# In the order of preference; the second names the files of a split checkpoint.
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")

# Of a JSON file, and of the pickle in a torch archive, which holds names and shapes, no weights.
MAX_BYTES = 16_000_000

# What torch's restricted unpickler was seen to raise on damaged files, besides its own error.
_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_json(file: Path) -> dict[str, Any]:
    """Parse a small JSON object."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: file not found.")
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
    """Raise if a file of a model folder is a link that leads out of the folder.

    A folder that somebody else packed could otherwise name any file of this machine.
    """
    folder = file.parent.resolve()
    places = [folder]
    if folder.parent.name == "snapshots":  # the hub's download cache links to its own store
        places.append(folder.parent.parent / "blobs")
    if not any(file.resolve().is_relative_to(place) for place in places):
        raise ValueError(
            f"{file}: a link that leads out of the folder is not followed; put the file itself "
            "there."
        )


def weight_files(folder: Path) -> list[Path]:
    """Find the files with the weights of a checkpoint folder."""
    for name in WEIGHT_FILES:
        file = folder / name
        if file.is_file():
            check_inside(file)
            return _files_of_index(file) if file.suffix == ".json" else [file]
    raise FileNotFoundError(
        f"{folder}: no weights found; one of {', '.join(WEIGHT_FILES)} is expected."
    )


def _files_of_index(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index}: a table 'weight_map' from tensors to files is expected.")
    files = []
    for name in {repr(name): name for name in weight_map.values()}.values():
        # A separator, a drive or ".." would lead out of the folder.
        plain = isinstance(name, str) and name.isprintable() and not any(c in "/\\:" for c in name)
        if not plain or not name.endswith(".safetensors") or len(name) > 200:
            raise ValueError(
                f"{index}: plain names of .safetensors files are expected, "
                f"got {printable(repr(name))}."
            )
        file = index.parent / name
        if not file.is_file():
            raise FileNotFoundError(f"{file}: file not found; {index} names it.")
        check_inside(file)
        files.append(file)
    return files


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Map the tensors of a safetensors or torch file; numbers are read when they are used."""
    if file.suffix == ".safetensors":
        try:
            # The library compares shapes and sizes with the length of the file.
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(
                f"{file}: not a valid safetensors file: {printable(str(error), 200)}"
            ) from error
    return _read_pickle(file)


def _read_pickle(file: Path) -> dict[str, torch.Tensor]:
    """Read a ``.bin`` with torch's restricted unpickler, which runs no code of the file."""
    try:
        _check_archive(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file}: refused, because it holds objects other than tensors, which could run code "
            "when loaded. Ask its author for a safetensors file."
        ) from error
    except _DAMAGED as error:
        raise ValueError(
            f"{file}: not a valid torch weight file: {printable(str(error), 200)}"
        ) from error
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
    model: nn.Module,
    files: list[Path],
    *,
    rename: Callable[[str], str | None] = lambda name: name,
) -> None:
    """Give a model that lies on torch's meta device the weights of a checkpoint.

    Floating-point weights become float32, whatever they are stored as: half precision is for
    files and for inference, not for training.

    Parameters
    ----------
    model : torch.nn.Module
        Built under ``torch.device("meta")``: names and shapes, no memory.
    files : list of Path
        As `weight_files` finds them.
    rename : callable
        The model's name of a stored tensor; None to leave it out.

    Raises
    ------
    ValueError
        If a tensor is missing, unknown, of another shape, there twice, or not finite; before any
        tensor is read, but for the last.
    """
    expected = model.state_dict()
    stored: dict[str, torch.Tensor] = {}
    for file in files:
        for name, tensor in read_tensors(file).items():
            renamed = rename(name)
            if renamed is None:
                continue
            if renamed in stored:
                raise ValueError(f"{file}: two tensors are candidates for {printable(renamed)}.")
            stored[renamed] = tensor
    folder = files[0].parent
    _check_fit(folder, expected, stored)
    # In a pickle, tensors may share their numbers, or repeat one number to any size: a file of a
    # few kilobytes would fill the memory.
    promised = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    there = sum(file.stat().st_size for file in files)
    if promised > there:
        raise ValueError(
            f"{files[0]}: tensors of {promised:,} bytes are promised, but the weights take "
            f"{there:,} bytes."
        )
    with torch.inference_mode(False):
        state = {name: _as_weights(folder, name, stored[name], expected[name]) for name in expected}
    model.load_state_dict(state, strict=True, assign=True)


def _check_fit(
    folder: Path, expected: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor]
) -> None:
    """Say what is wrong as `load_state_dict` would, but briefly, and before anything is read."""
    shapes = {
        name: (tuple(stored[name].shape), tuple(like.shape))
        for name, like in expected.items()
        if name in stored
    }
    problems = {
        "missing": [name for name in expected if name not in stored],
        "unexpected": [name for name in stored if name not in expected],
        "of another shape": [
            f"{name} is {s}, not {e}" for name, (s, e) in shapes.items() if s != e
        ],
    }
    told = [_name_some(kind, names) for kind, names in problems.items() if names]
    if told:
        raise ValueError(f"{folder}: the weights do not fit the configuration: {'; '.join(told)}.")


def _as_weights(folder: Path, name: str, stored: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if stored.is_floating_point() != like.is_floating_point():
        raise ValueError(f"{folder}: tensor {name} holds {stored.dtype}, not {like.dtype}.")
    dtype = torch.float32 if like.is_floating_point() else like.dtype
    # A copy: what is mapped would change or vanish with the file.
    tensor = stored.to(dtype, copy=True, memory_format=torch.contiguous_format)
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{folder}: tensor {name} holds NaN or infinity.")
    return tensor


def _name_some(kind: str, names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} {kind} ({', '.join(map(printable, names[:most]))}{more})"


def write_model(model: PreTrainedModel, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``: ``save_pretrained`` without its bars."""
    fields = model.config.to_diff_dict() | {
        "architectures": [type(model).__name__],
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    write_json(folder / "config.json", dict(sorted(fields.items())))
    weights = folder / "model.safetensors"
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, weights, metadata={"format": "pt"})
    # safetensors makes the file private; give it the permissions of the others.
    weights.chmod((folder / "config.json").stat().st_mode)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, readable by people."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def file_sha256(file: Path) -> str:
    """Digest of a file, as ``sha256sum`` prints it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(description: Mapping[str, Any], model: nn.Module, tokenizer: str = "") -> str:
    """Digest of what decides an embedding, independent of how and where it is stored.

    Parameters
    ----------
    description : mapping
        Architecture and sizes, of plain JSON types.
    model : torch.nn.Module
        Its parameters and persistent buffers count, as float32 where they are numbers in floating
        point.
    tokenizer : str, default=""
        The tokenizer, serialised.
    """
    digest = hashlib.blake2b(digest_size=20)
    digest.update(json.dumps(description, sort_keys=True).encode())
    digest.update(b"\0" + tokenizer.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"\0{name} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().to("cpu").contiguous()
        if plain.is_floating_point():
            plain = plain.float()
        digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def weights_state(model: nn.Module) -> tuple[Any, ...]:
    """Something cheap that changes when weights do: where they are, their version, a sample.

    The sample sees what the version counter does not (assignment to ``.data``): casts, optimiser
    steps, merged adapters, anything that touches most of a tensor.
    """
    state: list[Any] = []
    for tensor in model.state_dict().values():
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, math.ceil(flat.numel() / 32))]
        state.append((tensor.data_ptr(), tensor.dtype, _version(tensor), tuple(sample.tolist())))
    return tuple(state)


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
