"""Rows of unit length, made a block at a time: the array behind them is never copied whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils._rows import unit_length
from ._abundance import Scale, join_abundance


class UnitRows:
    """Embeddings of unit length, joined with abundances where there are any.

    Parameters
    ----------
    embeddings : ndarray of shape (n_samples, n_features)
        May be memory-mapped.
    abundance : ndarray of shape (n_samples, n_profiles), default=None
    scale : AbundanceScale, default=None
        With `abundance`.
    weight : float, default=0
        Of `abundance`.
    """

    def __init__(
        self,
        embeddings: np.ndarray,
        abundance: np.ndarray | None = None,
        scale: Scale | None = None,
        weight: float = 0.0,
    ) -> None:
        self._embeddings = embeddings
        self._abundance = abundance
        self._scale = scale
        self.weight = weight

    def __len__(self) -> int:
        return len(self._embeddings)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return the rows of a slice or of an array of places, as a new array."""
        rows = unit_length(self._embeddings[index])
        if self._abundance is None or self._scale is None:
            return rows
        return join_abundance(rows, self._scale.rows(self._abundance[index]), self.weight)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row as it is computed with."""
        row: np.ndarray = self[:1]
        return row.nbytes
