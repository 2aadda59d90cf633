"""Abundances in several samples, as columns beside an embedding."""

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.utils import check_array

from ..utils._messages import listed
from ..utils._rows import row_blocks, unit_length
from ._neighbors import nearest_neighbors

_PSEUDOCOUNT = 0.01  # of the mean abundance of a sample: zeros have a logarithm
_FREQUENCIES = 32
# A kernel narrower than the noise would part the contigs of one species; measured on communities of
# 60 species, with the noise of mapping and with more of it (docs/benchmarks/binning_coverage.py).
_NOISES_PER_WIDTH = 2.0
_LEAST_NOISE = 0.02  # mapping is never better
_NOISE_ROWS = 5000
# Weight of coverage by number of samples: each sample says more of what the sequence cannot.
_SAMPLES, _WEIGHTS = (1, 3, 10), (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class AbundanceScale:
    """Turns abundances into rows of unit length whose dot products say how alike they are.

    A dot product is the mean over the samples of ``exp(-(z1 - z2)**2 / (2 * width**2))``, with `z`
    the logarithms of two abundances. Cosines and sines of ``z * w`` have it, nearly, for quantiles
    `w` of a normal distribution with standard deviation ``1 / width`` (Rahimi & Recht, NIPS 2007).
    """

    means: np.ndarray  # of each sample, the unit of its pseudocount
    widths: np.ndarray  # of each sample's kernel, in natural logarithms

    @property
    def n_columns(self) -> int:
        """Number of columns of a row."""
        return 2 * _FREQUENCIES * len(self.means)

    def rows(self, abundance: np.ndarray) -> np.ndarray:
        """Return an array of shape (n_samples, n_columns)."""
        frequencies = norm.ppf((np.arange(_FREQUENCIES) + 0.5) / _FREQUENCIES)
        places = _logarithms(abundance, self.means) / self.widths
        angles = (places[:, :, None] * frequencies).reshape(len(places), -1)
        return np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(angles.shape[1])


def fit_abundance_scale(abundance: np.ndarray, embeddings: np.ndarray) -> AbundanceScale:
    """Learn how much abundances differ within a species, from contigs that look alike.

    The noise of a sample is a robust standard deviation of the difference of log abundances of
    nearest neighbours, over the half of the contigs whose neighbour is most similar.
    """
    means = abundance.mean(axis=0)
    means[means == 0] = 1
    noise = np.full(len(means), _LEAST_NOISE)
    if len(abundance) > 2:
        places = np.unique(np.linspace(0, len(abundance) - 1, _NOISE_ROWS).astype(int))
        rows = unit_length(embeddings[places]).astype(np.float32, copy=False)
        neighbor, similarity = (part[:, 0] for part in nearest_neighbors(rows, 1))
        alike = similarity >= np.median(similarity)
        z = _logarithms(abundance[places], means)
        differences = np.abs(z[alike] - z[neighbor[alike]])
        # Of normal noise, the median distance is 0.6745 standard deviations of a difference.
        noise = np.maximum(np.median(differences, axis=0) / 0.6745 / np.sqrt(2), _LEAST_NOISE)
    return AbundanceScale(means, _NOISES_PER_WIDTH * noise)


def abundance_share(weight: float | str, n_profiles: int) -> float:
    """Return the share of a similarity that is abundance; "auto" rises with the samples."""
    if not isinstance(weight, str):
        return float(weight)
    return float(np.interp(np.log(n_profiles), np.log(_SAMPLES), _WEIGHTS))


def _logarithms(abundance: np.ndarray, means: np.ndarray) -> np.ndarray:
    return np.log(abundance / means + _PSEUDOCOUNT)


def names_of_profiles(abundance: Any) -> list[str] | None:
    """Return the names of the columns of a frame, if all are strings."""
    names = list(getattr(abundance, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def check_same_samples(abundance: Any, n_samples: int, fitted: Any) -> np.ndarray | None:
    """Check abundances to predict with; columns of frames are brought into the order of `fit`."""
    scale = getattr(fitted, "_abundance_scale", None)
    if (scale is None) != (abundance is None):
        has, got = ("with", "none") if abundance is None else ("without", "some")
        name = type(fitted).__name__
        raise ValueError(f"This {name} was fitted {has} abundance, got {got} to predict with.")
    if scale is None:
        return None
    names, given = getattr(fitted, "abundance_names_", None), names_of_profiles(abundance)
    if names and given:
        if sorted(given) != sorted(names):
            both = f"{listed(given)}, but the clusters were made with {listed(names)}"
            raise ValueError(f"abundance has the samples {both}.")
        abundance = abundance[names]
    array, n, name = check_abundance(abundance, n_samples), len(scale.means), type(fitted).__name__
    if array.shape[1] != n:
        raise ValueError(f"abundance has {array.shape[1]} columns, but {name} was fitted with {n}.")
    return array


def check_abundance(abundance: Any, n_samples: int) -> np.ndarray:
    """Return abundances as a float64 array of shape (n_samples, n_profiles)."""
    if isinstance(abundance, str | PathLike):
        raise TypeError(f"abundance is a path; dnaembed.io.read_abundance reads {abundance}.")
    array: np.ndarray = check_array(abundance, dtype=np.float64, input_name="abundance")
    if (array < 0).any():
        row, column = np.argwhere(array < 0)[0]
        name = (names_of_profiles(abundance) or range(array.shape[1]))[column]
        value = array[row, column]
        raise ValueError(f"abundance must be >= 0, got {value:g} in row {row}, sample {name}.")
    if len(array) != n_samples:
        expected = f"one row for each of the {n_samples} sequences"
        raise ValueError(f"abundance must have {expected}, got {len(array)}.")
    return array


@dataclass(frozen=True)
class UnitRows:
    """Embeddings of unit length, joined with abundances of a weight, made a block at a time."""

    embeddings: np.ndarray
    abundance: np.ndarray | None = None
    scale: AbundanceScale | None = None
    weight: float = 0.0

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return the rows of a slice or of an array of places, as a new array."""
        rows = unit_length(self.embeddings[index])
        if self.abundance is None or self.scale is None:
            return rows
        abundance = self.abundance[index]
        joined = np.empty((len(rows), rows.shape[1] + self.scale.n_columns), rows.dtype)
        shares = np.sqrt([1 - self.weight, self.weight])
        for block in row_blocks(len(rows), 8 * joined.shape[1]):
            columns = self.scale.rows(abundance[block])
            joined[block] = np.hstack([shares[0] * rows[block], shares[1] * columns])
        return joined
