"""Long sequences: cut into windows that a model can see, and put back together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def split_windows(sequence: str, window_size: int | None) -> list[str]:
    """Cut a sequence into the fewest windows of at most `window_size` bases.

    The windows do not overlap and their lengths differ by at most one base, so that no window is
    a short, noisy rest. A sequence that fits is returned as it is.
    """
    length = len(sequence)
    if window_size is None or length <= window_size:
        return [sequence]
    n_windows = math.ceil(length / window_size)
    bounds = [i * length // n_windows for i in range(n_windows + 1)]
    return [sequence[a:b] for a, b in pairwise(bounds)]


def pool_windows(
    embeddings: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    owners: np.ndarray,
    n_sequences: int,
) -> np.ndarray:
    """Average the embeddings of windows, weighted by their lengths, into one row per sequence.

    `owners` are the sequences that the windows belong to, in ascending order, each at least once.
    The row of a sequence of one window is that window's, bit for bit.
    """
    if len(embeddings) == n_sequences:
        return embeddings
    weights = np.asarray(lengths, dtype=np.float64)
    starts = np.searchsorted(owners, np.arange(n_sequences))
    sums = np.add.reduceat(embeddings * weights[:, None], starts, axis=0)
    pooled = (sums / np.add.reduceat(weights, starts)[:, None]).astype(np.float32)
    single = np.diff(np.append(starts, len(embeddings))) == 1
    pooled[single] = embeddings[starts[single]]  # no rounding through weight and division
    return pooled
