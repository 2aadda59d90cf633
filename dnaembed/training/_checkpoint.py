"""What a run leaves behind: checkpoints, complete or not there, and tables of its course."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..utils._atomic import atomic_folder

_N_KEPT = 2  # newest checkpoints that stay
_NAME = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to continue as if it had never stopped.

    Tensors of model, head, average, optimiser and best weights by name; everything else in `state`.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]


def write_checkpoint(
    folder: str | os.PathLike[str],
    step: int,
    tensors: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write ``step-...`` beside and rename it into `folder`, then drop all but the newest two.

    Tensors may be anywhere and share memory (tied weights); there is no pickle in a checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:09d}"
    with atomic_folder(target) as beside:
        save_file(
            {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()},
            beside / "state.safetensors",
        )
        content = {"step": step} | dict(state)
        (beside / "state.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        for file in beside.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    for old in _list(folder)[:-_N_KEPT]:
        shutil.rmtree(old)
    return target


def latest_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """Read the newest checkpoint of a folder; None if there is none."""
    found = _list(Path(folder))
    if not found:
        return None
    state = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    return Checkpoint(state.pop("step"), load_file(found[-1] / "state.safetensors"), state)


def _list(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], *, append: bool = False) -> None:
    """Write rows of the same columns into a table, or append them to it."""
    with path.open("a" if append else "w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]))
            if not file.tell():
                writer.writeheader()
            for row in rows:
                plain = {n: f"{v:.7g}" if isinstance(v, float) else v for n, v in row.items()}
                writer.writerow(plain)
