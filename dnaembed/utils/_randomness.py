"""Torch randomness that leaves the global generators as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ._fork import ForkedLock
from ._torch import torch

# Held by whoever has set a generator, which all threads of the process share: models that are
# fine-tuned in threads would else draw from each other's, and give other weights every time.
_generators = ForkedLock()


def derive_seed(*key: int) -> int:
    """Turn a key, such as (seed, step, process, chunk), into an independent 63-bit seed."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed dropout within the block, alone in the process; restore the generators after it."""
    devices = [device] if device.type == "cuda" else []
    with _generators, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
