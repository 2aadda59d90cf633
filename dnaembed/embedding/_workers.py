"""Models by name: each process loads a model once, and tasks only say which."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from ..backbones import Backbone, shared_backbone
from ..backbones._load import bundled_models


@dataclass(frozen=True)
class ModelName:
    """Which model is meant, and where the hub's copy of it is kept; as in `load_backbone`."""

    name_or_path: str | PathLike[str]
    revision: str | None = None
    cache_dir: str | PathLike[str] | None = None
    local_files_only: bool = False

    def anywhere(self) -> ModelName:
        """Return a name that means the same model whatever the working directory."""
        folder = Path(self.name_or_path).expanduser()
        if str(self.name_or_path) not in ("default", *bundled_models()) and folder.is_dir():
            return replace(self, name_or_path=str(folder.resolve()))
        return self


@dataclass(frozen=True)
class ModelReference:
    """A few bytes that stand for a model, of this fingerprint, in other processes.

    The device ``"auto"`` is the best one of the machine that computes.
    """

    name: ModelName
    device: str
    dtype: str
    fingerprint: str

    def open(self) -> Backbone:
        """Return the model, loaded once in each process; raise if the name means another here."""
        backbone = shared_backbone(**vars(self.name), device=self.device, dtype=self.dtype)
        if backbone.fingerprint() != self.fingerprint:
            raise ValueError(
                f"model {str(self.name.name_or_path)!r} is another one on the worker "
                f"{socket.gethostname()}: its configuration, tokenizer or weights differ. Give "
                "all machines the same folder, or the same revision."
            )
        return backbone


def refer(backbone: Backbone, name: ModelName | None, device: str) -> ModelReference:
    """Refer to a model; raise if it has no name, because its weights are in this process only."""
    if name is None:
        raise ValueError(
            "Other processes cannot load a fine-tuned model, which is in the memory of this "
            "one only. Write it to a folder that all of them see (save_model), and give that "
            "folder as model; or set n_jobs=1 to embed in this process."
        )
    return ModelReference(name.anywhere(), device, backbone.precision, backbone.fingerprint())
