"""The processes of a run, as accelerate sees them."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState

from ..backbones._device import resolve_device


def process_state(device: str | torch.device | None = None) -> PartialState:
    """Return accelerate's view of the processes; join them if this one was launched with others.

    Accelerate looks for a group of processes on CPUs only when told to: without it, each of the
    processes that ``torchrun`` starts on a machine without a GPU would train on its own.

    Parameters
    ----------
    device : str or torch.device, default=None
        Where the caller will compute, as far as it knows.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    name = str(device) if device is not None else resolve_device("auto").type
    return PartialState(cpu=True) if launched and name == "cpu" else PartialState()


def default_device(processes: PartialState) -> torch.device:
    """Return the device of this process."""
    return processes.device if processes.num_processes > 1 else resolve_device("auto")
