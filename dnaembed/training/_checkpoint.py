"""What a run leaves behind: checkpoints, complete or not there."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..utils._atomic import atomic_folder, flush_to_disk

_N_KEPT = 2  # newest checkpoints that stay


def write_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]
) -> None:
    """Write ``step-...`` beside and rename it into `folder`, then drop all but the newest two.

    Tensors may be anywhere and share memory (tied weights); there is no pickle in a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder / f"step-{step:09d}") as beside:
        save_file(
            {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()},
            beside / "state.safetensors",
        )
        content = json.dumps({"step": step} | dict(state), indent=1)
        (beside / "state.json").write_text(content, encoding="utf-8")
        for file in beside.iterdir():
            flush_to_disk(file)
    for old in _checkpoints(folder)[:-_N_KEPT]:
        shutil.rmtree(old)


def latest_checkpoint(folder: Path) -> tuple[int, dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read step, tensors and state of the newest checkpoint of a folder; None if there is none."""
    found = _checkpoints(folder)
    if not found:
        return None
    state = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    return state.pop("step"), load_file(found[-1] / "state.safetensors"), state


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("step-*")
    return sorted(path for path in found if path.name.removeprefix("step-").isdecimal())
