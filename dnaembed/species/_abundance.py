"""Abundances in several samples, as columns that stand beside an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array

_PSEUDOCOUNT = 0.01  # of the mean abundance of a sample: zeros have a logarithm
_SPAN = (0.01, 0.99)


@dataclass(frozen=True)
class AbundanceScale:
    """Turns abundances into rows of unit length whose dot products say how alike they are.

    Logarithms of a sample's abundances, from the first to the 99th percentile of the rows that
    were fitted, become angles from 0 to 90 degrees; a row holds their cosines and sines. The dot
    product of two rows is the mean over the samples of the cosine of the difference of the angles:
    1 for equal abundances, 0 for the rarest and the most abundant. Unlike a profile that adds up
    to 1, this says something from a single sample on.
    """

    means: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def rows(self, abundance: np.ndarray) -> np.ndarray:
        """Return an array of shape (n_samples, 2 * n_profiles)."""
        span = self.high - self.low
        place = (_logarithms(abundance, self.means) - self.low) / np.where(span > 0, span, 1)
        angles = np.clip(place, 0, 1) * np.pi / 2
        return np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(angles.shape[1])


def fit_abundance_scale(abundance: np.ndarray) -> AbundanceScale:
    """Learn the range of each sample's abundances."""
    means = abundance.mean(axis=0)
    means[means == 0] = 1
    low, high = np.quantile(_logarithms(abundance, means), _SPAN, axis=0)
    return AbundanceScale(means, low, high)


def _logarithms(abundance: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.log(abundance / means + _PSEUDOCOUNT)


def check_abundance(abundance: Any, *, n_samples: int) -> np.ndarray:
    """Return abundances as a float64 array of shape (n_samples, n_profiles)."""
    array = check_array(abundance, dtype=np.float64, input_name="abundance")
    if len(array) != n_samples:
        raise ValueError(
            f"abundance must have one row for each of the {n_samples} sequences, got {len(array)}."
        )
    if (array < 0).any():
        row, column = np.argwhere(array < 0)[0]
        raise ValueError(
            f"abundance must not be negative, got {array[row, column]:g} in row {row}, column "
            f"{column}."
        )
    return array


def join_abundance(embeddings: np.ndarray, columns: np.ndarray, weight: float) -> np.ndarray:
    """Put unit rows side by side: `weight` of a dot product is abundance, the rest embedding."""
    joined = np.hstack([np.sqrt(1 - weight) * embeddings, np.sqrt(weight) * columns])
    return joined.astype(embeddings.dtype, copy=False)
