"""Rows: of unit length whatever their length was, and some at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

_BLOCK_BYTES = 1 << 26


def unit_length(X: Any) -> np.ndarray:
    """Scale rows to unit length, in a new array of their type; rows of zeros stay as they are.

    Unlike `sklearn.preprocessing.normalize`, also where their squares do not fit the type.
    """
    rows: np.ndarray = normalize(X)
    odd = np.abs(np.einsum("ij,ij->i", rows, rows) - 1) > 1e-3
    if odd.any():
        given = np.asarray(X)[odd].astype(np.float64)
        largest = np.abs(given).max(axis=1, keepdims=True)
        rows[odd] = normalize(given / np.where(largest > 0, largest, 1))
    return rows


def row_blocks(n_rows: int, row_bytes: int) -> Iterator[slice]:
    """Cut rows into slices whose results, of `row_bytes` per row, fit in a fixed memory."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    return (slice(start, start + step) for start in range(0, n_rows, step))
