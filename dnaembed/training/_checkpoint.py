"""What a run leaves behind: checkpoints, complete or not there, and a log that survives."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..utils._atomic import atomic_folder, atomic_output

_N_KEPT = 2  # newest checkpoints that stay
_NAME = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to continue as if it had never stopped.

    Attributes
    ----------
    step : int
        Steps done.
    tensors : dict of str to Tensor
        Model, head, average, optimiser and best weights, by name.
    state : dict
        Numbers: configuration, scaler, history.
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


class CsvLog:
    """A table with one row per logged step, appended line by line.

    Parameters
    ----------
    path : path-like
        The file; its first row names the columns, which are those of the first row written.
    after : int, default=-1
        The step from which a run resumes: rows of later steps, written between the checkpoint and
        the interruption, are dropped. -1 starts afresh.
    """

    def __init__(self, path: str | os.PathLike[str], *, after: int = -1) -> None:
        self.path = Path(path)
        self._columns: list[str] | None = None
        rows: list[dict[str, str]] = []
        if after >= 0 and self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                # The last line may have been cut off in the middle.
                rows = [
                    row
                    for row in reader
                    if None not in row.values() and None not in row and int(row["step"]) <= after
                ]
                self._columns = list(reader.fieldnames or []) or None
        with atomic_output(self.path) as beside, beside.open("w", newline="") as file:
            if self._columns is not None:
                writer = csv.DictWriter(file, self._columns)
                writer.writeheader()
                writer.writerows(rows)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; ``row["step"]`` is required, later rows have the columns of the first."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            new = self._columns is None
            columns = self._columns = list(row) if self._columns is None else self._columns
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({n: f"{v:.7g}" if isinstance(v, float) else v for n, v in row.items()})
