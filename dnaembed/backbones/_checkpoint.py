"""Read and write checkpoint folders, without trusting what is in them.

Whatever a folder holds, nothing in it is executed, nothing outside it is named, and a tensor is
only brought into memory after its name and shape were found to be those that the model needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from ..utils._messages import printable

# In the order of preference; the second and the fourth name the files of a split checkpoint.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

_MAX_JSON_BYTES = 16_000_000
# Of the pickle in a torch archive, which holds names and shapes but no weights.
_MAX_PICKLE_BYTES = 16_000_000
_MAX_ENTRIES = 100_000
_MAX_NAME = 200

# What a model of this package may ask for; the published ones have 12 layers, 117 M parameters.
MAX_LAYERS = 1024
MAX_PARAMETERS = 10**10

# What torch's restricted unpickler was seen to raise on damaged files, besides its own error.
_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: what is known before it is read, and how to read it."""

    file: Path
    shape: tuple[int, ...]
    n_bytes: int
    load: Callable[[], torch.Tensor]


def read_json(file: Path) -> dict[str, Any]:
    """Parse a small JSON object."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: file not found.")
    check_inside(file)
    if file.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"{file}: at most {_MAX_JSON_BYTES:,} bytes are expected.")
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


def check_size(n_layers: int, n_parameters: int) -> None:
    """Raise if sizes ask for more than any model of this package could need."""
    if n_layers > MAX_LAYERS or n_parameters > MAX_PARAMETERS:
        raise ValueError(
            f"A model of at most {MAX_LAYERS} layers and {MAX_PARAMETERS:,} parameters is "
            f"expected, got {n_layers:,} layers and {n_parameters:,} parameters."
        )


def weight_files(folder: Path) -> list[Path]:
    """Find the files with the weights of a checkpoint folder."""
    for name in WEIGHT_FILES:
        file = folder / name
        if not file.is_file():
            continue
        check_inside(file)
        return _files_of_index(file) if file.suffix == ".json" else [file]
    raise FileNotFoundError(
        f"{folder}: no weights found; one of {', '.join(WEIGHT_FILES)} is expected."
    )


def _files_of_index(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index}: a table 'weight_map' from tensors to files is expected.")
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    files = []
    for name in {repr(name): name for name in weight_map.values()}.values():
        # A separator, a drive or ".." would lead out of the folder.
        if (
            not isinstance(name, str)
            or any(c in "/\\:" or not c.isprintable() for c in name)
            or len(name) > _MAX_NAME
        ):
            raise ValueError(
                f"{index}: plain file names are expected, got {printable(repr(name))}."
            )
        if not name.endswith(suffix):
            raise ValueError(f"{index}: files that end in {suffix} are expected, got {name!r}.")
        if not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index.parent / name}: file not found; {index} names it.")
        check_inside(index.parent / name)
        files.append(index.parent / name)
    return files


def stored_tensors(files: list[Path]) -> dict[str, StoredTensor]:
    """List the tensors of weight files by name, without bringing them into memory."""
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        read = _read_safetensors if file.suffix == ".safetensors" else _read_pickle
        for name, tensor in read(file).items():
            if name in tensors:
                raise ValueError(
                    f"{file}: tensor {printable(name)} is in {tensors[name].file} as well."
                )
            tensors[name] = tensor
    return tensors


def _read_safetensors(file: Path) -> dict[str, StoredTensor]:
    try:
        handle = safe_open(file, framework="pt")
        # The library has compared shapes and sizes with the length of the file.
        return {
            name: StoredTensor(
                file,
                tuple(handle.get_slice(name).get_shape()),
                0,
                lambda name=name: handle.get_tensor(name),  # type: ignore[misc]
            )
            for name in handle.keys()  # noqa: SIM118 - the handle is no mapping
        }
    except SafetensorError as error:
        raise ValueError(
            f"{file}: not a valid safetensors file: {printable(str(error), 200)}"
        ) from error


def _read_pickle(file: Path) -> dict[str, StoredTensor]:
    """Read a ``.bin`` with torch's restricted unpickler, which runs no code of the file."""
    _check_archive(file)
    try:
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
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(
                f"{file}: a tensor is expected at {printable(repr(name))}, "
                f"got {type(tensor).__name__}."
            )
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError(f"{file}: a plain tensor is expected at {printable(repr(name))}.")
    return {
        name: StoredTensor(
            file,
            tuple(tensor.shape),
            tensor.numel() * tensor.element_size(),
            lambda tensor=tensor: tensor,  # type: ignore[misc]
        )
        for name, tensor in content.items()
    }


def _check_archive(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise ValueError(
            f"{file}: not a torch weight file, or cut off, or of a format older than torch 1.6: "
            f"{printable(str(error))}"
        ) from error
    pickled = sum(entry.file_size for entry in entries if entry.filename.endswith(".pkl"))
    if len(entries) > _MAX_ENTRIES or pickled > _MAX_PICKLE_BYTES:
        raise ValueError(
            f"{file}: at most {_MAX_ENTRIES:,} entries and {_MAX_PICKLE_BYTES:,} bytes of names "
            f"and shapes are expected, got {len(entries):,} and {pickled:,}."
        )
    for entry in entries:
        # torch never compresses; a few bytes that unfold to gigabytes would be an attack.
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(
                f"{file}: compressed entry {printable(entry.filename)!r}; plain ones are expected."
            )


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
    stored: dict[str, StoredTensor] = {}
    for name, tensor in stored_tensors(files).items():
        renamed = rename(name)
        if renamed is None:
            continue
        if renamed in stored:
            raise ValueError(f"{tensor.file}: two tensors are candidates for {printable(renamed)}.")
        stored[renamed] = tensor
    problems = [
        _name_some("missing", [name for name in expected if name not in stored]),
        _name_some("unexpected", [name for name in stored if name not in expected]),
        _name_some(
            "of another shape",
            [
                f"{name} is {stored[name].shape}, not {tuple(tensor.shape)}"
                for name, tensor in expected.items()
                if name in stored and stored[name].shape != tuple(tensor.shape)
            ],
        ),
    ]
    if any(problems):
        raise ValueError(
            f"{files[0].parent}: the weights do not fit the configuration: "
            f"{'; '.join(filter(None, problems))}."
        )
    _check_bytes(files, stored)
    state = {name: _read_tensor(stored[name], name, like) for name, like in expected.items()}
    model.load_state_dict(state, assign=True)


def _check_bytes(files: list[Path], stored: Mapping[str, StoredTensor]) -> None:
    # In a pickle, tensors may share their numbers, or repeat one number to any size: a file of a
    # few kilobytes would fill the memory.
    promised = sum(tensor.n_bytes for tensor in stored.values())
    there = sum(file.stat().st_size for file in files)
    if promised > there:
        raise ValueError(
            f"{files[0]}: tensors of {promised:,} bytes are promised, but the weights take "
            f"{there:,} bytes."
        )


def _read_tensor(stored: StoredTensor, name: str, like: torch.Tensor) -> torch.Tensor:
    try:
        tensor = stored.load()
    except SafetensorError as error:
        raise ValueError(
            f"{stored.file}: tensor {name} cannot be read: {printable(str(error))}"
        ) from error
    if tensor.is_floating_point() != like.is_floating_point() or tensor.is_complex():
        raise ValueError(f"{stored.file}: tensor {name} holds {tensor.dtype} numbers.")
    dtype = torch.float32 if like.is_floating_point() else like.dtype
    # A copy: the file behind a mapped tensor may change later.
    with torch.inference_mode(False):
        tensor = tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{stored.file}: tensor {name} holds NaN or infinity.")
    return tensor


def _name_some(kind: str, names: list[str], most: int = 4) -> str:
    if not names:
        return ""
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


@contextmanager
def new_folder(folder: str | PathLike[str]) -> Iterator[Path]:
    """Fill a folder under another name beside it, and rename it when it is complete.

    Raises
    ------
    FileExistsError
        If the folder is there already and holds something, or is a file.
    """
    target = Path(folder)
    _check_vacant(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid4().hex}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        _check_vacant(target)
        if target.is_dir():
            target.rmdir()
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _check_vacant(target: Path) -> None:
    if target.is_dir():
        if any(target.iterdir()):
            raise FileExistsError(f"{target}: the folder exists and is not empty.")
    elif target.exists() or target.is_symlink():
        raise FileExistsError(f"{target}: a file of this name exists.")
