"""The projection head that published training code saves beside the encoder."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch
from torch import nn

from .._checkpoint import load_weights, read_tensors


def load_projection_head(file: str | PathLike[str]) -> nn.Sequential:
    """Load a projection head: linear, ReLU, linear, both without bias.

    Parameters
    ----------
    file : str or path-like
        Safetensors or a torch ``.bin`` / ``.pt`` with ``0.weight`` of shape (hidden, in) and
        ``2.weight`` of shape (out, hidden), as the authors of DNABERT-S save it.

    Returns
    -------
    torch.nn.Sequential
        In float32, on the CPU. ``safetensors.torch.save_file(head.state_dict(), ...)`` writes it.

    Raises
    ------
    ValueError
        If the file holds other tensors, or would need code to be run.
    """
    path = Path(file)
    stored = read_tensors(path)
    shapes = [stored[name].shape for name in ("0.weight", "2.weight") if name in stored]
    if len(shapes) != 2 or any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"{path}: matrices '0.weight' and '2.weight' are expected.")
    (hidden, n_in), (n_out, _) = shapes
    with torch.device("meta"):
        head = nn.Sequential(
            nn.Linear(n_in, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, n_out, bias=False)
        )
    load_weights(head, [path])
    return head
