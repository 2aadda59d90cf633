"""Models for other processes: each loads a model once, and tasks only say which."""

from __future__ import annotations

import hashlib
import pickle
import socket
from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from ..backbones import Backbone, shared_backbone
from ..backbones._device import move, resolve_device
from ..backbones._load import bundled_models

# Models whose weights were sent to this process, by the digest of all that was sent.
_SENT_MODELS = 2
_sent: OrderedDict[str, Backbone] = OrderedDict()
_sent_lock = Lock()


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from, for processes that must get it themselves.

    Attributes
    ----------
    device : str
        Where to compute; ``"auto"`` is the best device of the machine that computes.
    arguments : dict or None
        Of `shared_backbone`, but for device and dtype; None for a model that exists only in the
        memory of this process, whose weights have to be sent.
    """

    device: str = "auto"
    arguments: dict[str, Any] | None = None

    @classmethod
    def pretrained(cls, name_or_path: Any, device: str, **arguments: Any) -> ModelSource:
        """Describe a model that `shared_backbone` finds, for processes that run elsewhere."""
        if str(name_or_path) not in ("default", *bundled_models()):
            folder = Path(name_or_path).expanduser()
            if folder.is_dir():
                name_or_path = str(folder.resolve())
        return cls(device, {"name_or_path": name_or_path, **arguments})


class ModelReference:
    """Stands for a model: the model itself in this process, a few bytes in others.

    Parameters
    ----------
    backbone : Backbone
        The model.
    source : ModelSource
        How others get it.
    """

    def __init__(self, backbone: Backbone, source: ModelSource) -> None:
        self._here: Backbone | None = backbone
        self._source = source
        self._dtype = backbone.precision
        self._digest = ""

    def pack(self) -> np.ndarray | None:
        """Get ready for other processes; return the weights if they have to be sent along."""
        backbone = self._here
        if backbone is None:
            raise RuntimeError("Only the process that holds the model can send it.")
        if self._source.arguments is not None:
            self._digest = backbone.fingerprint()
            return None
        if backbone.model.device.type != "cpu":
            backbone = deepcopy(backbone)
            move(backbone.model, "cpu")
        weights = pickle.dumps(backbone, protocol=5)
        self._digest = hashlib.blake2b(weights, digest_size=20).hexdigest()
        return np.frombuffer(weights, dtype=np.uint8)

    def open(self, weights: np.ndarray | None) -> Backbone:
        """Return the model.

        Parameters
        ----------
        weights : ndarray or None
            What `pack` returned.

        Raises
        ------
        ValueError
            If what this process finds under the name of the model is another model.
        """
        if self._here is not None:
            return self._here
        device = resolve_device(self._source.device)
        if weights is not None:
            return self._open_sent(weights, device)
        arguments = self._source.arguments or {}
        backbone = shared_backbone(**arguments, device=device, dtype=self._dtype)
        if backbone.fingerprint() != self._digest:
            raise ValueError(
                f"model {str(arguments['name_or_path'])!r} is another one on the worker "
                f"{socket.gethostname()}: its configuration, tokenizer or weights differ. Give "
                "all machines the same folder, or the same revision."
            )
        return backbone

    def _open_sent(self, weights: np.ndarray, device: torch.device) -> Backbone:
        with _sent_lock:
            if self._digest not in _sent:
                _sent[self._digest] = pickle.loads(weights.data)
                while len(_sent) > _SENT_MODELS:
                    _sent.popitem(last=False)
            _sent.move_to_end(self._digest)
            backbone = _sent[self._digest]
            move(backbone.model, device)
            return backbone

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_here": None}


def send_once(weights: np.ndarray | None, backend: Any) -> Any:
    """Make an argument of many tasks that each worker is given once.

    A plain array is enough for joblib's own processes, which map it into their memory. Dask's
    backend would give it to one worker, from which the others take it, and all would be lost with
    that one.
    """
    client = getattr(backend, "client", None)
    if weights is None or client is None:
        return weights
    # Hashed, it could meet the data of an earlier call that is about to be dropped.
    return client.scatter(weights, broadcast=True, hash=False)
