"""Find a model by name, folder or hub id; load or convert it without running any of its code."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..utils._fork import ForkedLock
from ..utils._messages import printable
from ._checkpoint import WEIGHT_FILES, file_sha256, read_json, weights_file
from ._device import resolve_device, resolve_dtype
from ._protocol import Backbone, backbone_class, registered_backbones

if TYPE_CHECKING:
    import torch

_MODELS = Path(__file__).resolve().parent.parent / "models"
# What "default" stands for; the name of the folder pins a version.
DEFAULT_MODEL = "kmer-profile-2"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

# sha256 of pytorch_model.bin in the published checkpoints.
PUBLISHED_WEIGHTS = {
    "zhihan1996/DNABERT-S": "f3cfc3d0541859df64759e758cc4bc40fe1d5760799a7d098a9f9f09501c1e5f",
    "zhihan1996/DNABERT-2-117M": "7ff39ec77a484dd01070a41bfd6e95cdd7247bec80fe357ab43a4be33687aeba",
}

_SHARED_MODELS = 4
_shared: OrderedDict[tuple[Any, ...], Backbone] = OrderedDict()
_shared_lock = ForkedLock()


def load_backbone(
    name_or_path: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    sha256: str | Sequence[str] | None = None,
) -> Backbone:
    """Load a model, of the architecture that ``model_type`` in its ``config.json`` names.

    Code that a checkpoint brings along is neither downloaded nor run; see :doc:`/security`.

    Parameters
    ----------
    name_or_path : str or path-like
        A bundled model, a folder, or a Hugging Face hub id (``"owner/name"``), in this order.
    revision : str, default=None
        Branch, tag or commit of a hub model.
    cache_dir : str or path-like, default=None
        Where downloads are kept; the hub's own default if None.
    local_files_only : bool, default=False
        Never go online, as with ``HF_HUB_OFFLINE=1``.
    sha256 : str or sequence of str, default=None
        Digest, or digests of which the file with the weights must have one. Published names, also
        of folders, are checked unless this or a `revision` is given.

    Returns
    -------
    Backbone
        In float32, on the CPU, in evaluation mode; not shared with anybody.

    Raises
    ------
    FileNotFoundError
        If there is no such model, or files are missing from it.
    ValueError
        If it is of no known type, or its weights do not fit, hold code, or have another digest.

    Examples
    --------
    >>> from dnaembed.backbones import load_backbone
    >>> load_backbone("default").embedding_size
    384
    """
    hub = {"cache_dir": cache_dir, "local_files_only": local_files_only}
    return load_folder(find_folder(name_or_path, revision=revision, sha256=sha256, **hub))


def load_folder(folder: Path) -> Backbone:
    """Load the model in a folder by the ``model_type`` of its ``config.json``."""
    file = folder / "config.json"
    model_type = read_json(file).get("model_type")
    kind = backbone_class(model_type)
    if kind is None:
        known, got = ", ".join(sorted(registered_backbones())), printable(repr(model_type))
        raise ValueError(f"{file}: model_type must be one of {known}, got {got}.")
    return kind.from_folder(folder)


def shared_backbone(
    name_or_path: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = "float32",
) -> Backbone:
    """Load a model for inference, once for all that ask for it in this process.

    A folder is read again when a file of it changed. The last four models are kept; treat them as
    read-only.

    Parameters
    ----------
    name_or_path, revision, cache_dir, local_files_only : optional
        As in `load_backbone`.
    device, dtype : str, or of torch, default="cpu" and "float32"
        Where and in which precision to compute; ``"auto"`` as for `dnaembed.DNABertSEmbedder`.

    Returns
    -------
    Backbone
        In evaluation mode, without gradients.
    """
    hub = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
    # One lock for all: who asks second for a model finds it loaded.
    with _shared_lock:
        local = _find_local(name_or_path)
        here: tuple[Any, ...] = ()
        if local is not None:
            files = ((file.name, file.stat()) for file in sorted(local.iterdir()) if file.is_file())
            here = local.resolve(), *((name, s.st_mtime_ns, s.st_size) for name, s in files)
        # The folder of a published name is verified, and is not when it is named by a path.
        name = str(name_or_path) if local is None or _known_digest(name_or_path) else ""
        device, dtype = str(device), str(dtype).removeprefix("torch.")
        key = (name, *here, *map(str, hub.values()), device, dtype)
        if key not in _shared:
            is_plain = {device, dtype} <= {"auto", "cpu", "float32"}
            if is_plain and local is not None and local.parent == _MODELS:  # ours are in numpy, too
                from ._bundled import BundledProfile

                _shared[key] = BundledProfile(local)  # type: ignore[assignment]
            else:
                backbone = load_backbone(name_or_path, **hub)  # type: ignore[arg-type]
                where = resolve_device(device, backbone.is_light)
                precision = resolve_dtype(dtype, where, backbone.is_light)
                backbone.model.requires_grad_(False).to(device=where, dtype=precision)
                _shared[key] = backbone
            while len(_shared) > _SHARED_MODELS:
                _shared.popitem(last=False)
        _shared.move_to_end(key)
        return _shared[key]


def find_folder(
    name_or_path: str | PathLike[str],
    *,
    revision: str | None = None,
    sha256: str | Sequence[str] | None = None,
    **hub: Any,
) -> Path:
    """Find the folder of a model, downloaded where necessary; parameters as in `load_backbone`."""
    digests = [sha256] if isinstance(sha256, str) else sha256
    for digest in digests or ():
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError(f"sha256 must be of 64 hexadecimal digits, got {digest!r}.")
    known = _known_digest(name_or_path) if revision is None and digests is None else None
    folder = _find_local(name_or_path)
    if folder is None:
        # Of the published models the file whose digest is known.
        folder = _find_at_hub(name_or_path, revision, pickled=known is not None, **hub)
    elif revision is not None:
        what = f"{str(name_or_path)!r} is the folder {folder}"
        raise ValueError(f"revision={revision!r} applies to hub models only, and {what}.")
    if known is not None or digests is not None:
        file = weights_file(folder)
        found = file_sha256(file)
        if known is not None and found != known:
            why = "the file is damaged, or holds other weights"
            how = f"give its sha256, or, for a folder, a path such as './{name_or_path}'"
            problem = f"the sha256 is not that of the published {name_or_path}: {why}"
            raise ValueError(f"{file}: {problem}. To load it all the same, {how}.")
        if digests is not None and found not in map(str.lower, digests):
            raise ValueError(f"{file}: its sha256 is {found}, which is not one that was asked for.")
    return folder


def _known_digest(name_or_path: str | PathLike[str]) -> str | None:
    # A Path means a folder, a string may be the name of a published model.
    return PUBLISHED_WEIGHTS.get(name_or_path) if isinstance(name_or_path, str) else None


def published_name(sha256: str) -> str | None:
    """Return the name under which weights of this digest were published, if they were."""
    return next((name for name, known in PUBLISHED_WEIGHTS.items() if known == sha256), None)


def _find_at_hub(
    name_or_path: str | PathLike[str],
    revision: str | None,
    *,
    pickled: bool,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    name = str(name_or_path)
    names = ", ".join(["default", *bundled_models()])
    tried = f"no folder has this name, nor has a model of the package ({names})"
    if not isinstance(name_or_path, str) or not _HUB_ID.fullmatch(name):
        tried += "; it is not a hub id of the form 'owner/name'"
        raise FileNotFoundError(f"model {name!r} not found: {tried}.")
    import huggingface_hub  # here, because bundled models do not need it

    # Nothing that could run: the pickled weights only where there are no safetensors.
    small = ["config.json", "tokenizer.json", "tokenizer_config.json", "README.md"]
    how: Any = {"revision": revision, "local_files_only": local_files_only}
    how["cache_dir"] = None if cache_dir is None else str(cache_dir)
    try:
        for weights in WEIGHT_FILES[1:] if pickled else WEIGHT_FILES:
            wanted = [*small, weights]
            folder = Path(huggingface_hub.snapshot_download(name, **how, allow_patterns=wanted))
            if any((folder / file).is_file() for file in WEIGHT_FILES):
                break
        weights_file(folder)
    except (OSError, ValueError) as error:
        how = "among earlier downloads" if local_files_only else "at the hub"
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        problem = f"model {name!r} not found {how}: {reason.rstrip('.')}"
        raise FileNotFoundError(f"{problem}; {tried}.") from error
    return folder


def bundled_models() -> list[str]:
    """Names of the models that ship with the package."""
    return sorted(file.parent.name for file in _MODELS.glob("*/config.json"))


def _find_local(name_or_path: str | PathLike[str]) -> Path | None:
    if isinstance(name_or_path, str) and _NAME.fullmatch(name_or_path):
        bundled = _MODELS / (DEFAULT_MODEL if name_or_path == "default" else name_or_path)
        if (bundled / "config.json").is_file():
            return bundled
    path = Path(name_or_path).expanduser()
    if path.is_file():
        raise ValueError(f"{path}: a model is a folder, and this is a file.")
    return path if path.is_dir() else None


def convert_checkpoint(
    source: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    sha256: str | Sequence[str] | None = None,
) -> None:
    """Write a published DNABERT-2 or DNABERT-S checkpoint as a folder of ours.

    The folder holds safetensors instead of a pickle, the right ``[PAD]`` id, the tokenizer, and a
    model card with the sha256 of the source, whose weights it has bit for bit.

    Parameters
    ----------
    source : str or path-like
        Folder or hub id of the checkpoint.
    folder : str or path-like
        New or empty (or FileExistsError); it appears complete or not at all.
    revision, cache_dir, local_files_only, sha256 : optional
        As in `load_backbone`, and so are the errors.
    """
    hub = {"cache_dir": cache_dir, "local_files_only": local_files_only}
    origin = find_folder(source, revision=revision, sha256=sha256, **hub)
    backbone = load_folder(origin)
    if backbone.model.config.model_type != "dnabert":
        got = f"this model is a {backbone.model.config.model_type!r}, which needs no conversion"
        raise ValueError(f"{origin}: a DNABERT-2 or DNABERT-S checkpoint is expected; {got}.")
    # A hub id says where weights come from; a folder of the user's says nothing to others.
    name = str(source) if origin != Path(source) else None
    backbone.save(folder, card=_card(name, weights_file(origin)))


def _card(source: str | None, weights: Path) -> str:
    sha256 = file_sha256(weights)
    name = published_name(sha256)
    known = "the digest of the published weights" if name else "not that of a published checkpoint"
    about = {"licence": "apache-2.0" if name else "other", "file": weights.name, "sha256": sha256}
    about["title"] = name or source or "DNA encoder"
    about["origin"] = name or source or "a local checkpoint"
    template = (_MODELS / "converted.md").read_text(encoding="utf-8")
    return template.format(**about, known=known)
