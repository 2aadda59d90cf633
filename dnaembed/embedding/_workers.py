"""Models for other processes: each loads a model once, and tasks only say which."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ..backbones import Backbone, load_backbone, shared_backbone
from ..backbones._device import resolve_device
from ..backbones._load import bundled_models


@dataclass(frozen=True)
class ModelName:
    """Which model is meant, and where the hub's copy of it is kept; as in `load_backbone`."""

    name_or_path: str | PathLike[str]
    revision: str | None = None
    cache_dir: str | PathLike[str] | None = None
    local_files_only: bool = False

    def load(self) -> Backbone:
        """Return a model of one's own, in float32 on the CPU."""
        return load_backbone(**vars(self))

    def shared(self, device: torch.device, dtype: torch.dtype) -> Backbone:
        """Return the model that all of this process share."""
        return shared_backbone(**vars(self), device=device, dtype=dtype)

    def anywhere(self) -> ModelName:
        """Return a name that means the same model whatever the working directory."""
        if str(self.name_or_path) not in ("default", *bundled_models()):
            folder = Path(self.name_or_path).expanduser()
            if folder.is_dir():
                return replace(self, name_or_path=str(folder.resolve()))
        return self


@dataclass(frozen=True)
class ModelReference:
    """A few bytes that stand for a model in other processes.

    Attributes
    ----------
    name : ModelName
    device : str
        Where to compute; ``"auto"`` is the best device of the machine that computes.
    dtype : torch.dtype
    fingerprint : str
        Of the model that is meant.
    """

    name: ModelName
    device: str
    dtype: torch.dtype
    fingerprint: str

    @classmethod
    def to(cls, backbone: Backbone, name: ModelName | None, device: str) -> ModelReference:
        """Refer to a model, or say why that cannot be done.

        Raises
        ------
        ValueError
            If `name` is None: the weights are in the memory of this process only.
        """
        if name is None:
            raise ValueError(
                "Other processes cannot load a fine-tuned model, which is in the memory of this "
                "one only. Write it to a folder that all of them see (save_model), and give that "
                "folder as model; or set n_jobs=1 to embed in this process."
            )
        return cls(name.anywhere(), device, backbone.precision, backbone.fingerprint())

    def open(self) -> Backbone:
        """Return the model, loaded once in each process.

        Raises
        ------
        ValueError
            If this process finds another model under the name.
        """
        backbone = self.name.shared(resolve_device(self.device), self.dtype)
        if backbone.fingerprint() != self.fingerprint:
            raise ValueError(
                f"model {str(self.name.name_or_path)!r} is another one on the worker "
                f"{socket.gethostname()}: its configuration, tokenizer or weights differ. Give "
                "all machines the same folder, or the same revision."
            )
        return backbone


def open_model(model: Backbone | ModelReference | Any) -> Backbone:
    """Return the model itself, which threads are given, or the one that is referred to."""
    return model.open() if isinstance(model, ModelReference) else model
