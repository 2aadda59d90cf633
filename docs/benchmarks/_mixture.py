"""Rows that lie as the embeddings of reads do, in any number, without a genome or a model."""

from __future__ import annotations

import numpy as np

# Shares of the squared length of a row, and how fast the variance falls from axis to axis, as
# measured on the bundled model's embeddings of reads of 78 species that it had not seen.
_COMMON, _SPECIES, _READ = 0.60, 0.17, 0.23
_SPECIES_DECAY, _READ_DECAY = 1.2, 0.8
_GENUS = 0.7  # of what tells species apart, what those of a genus share
_SPECIES_A_GENUS = 3
_SIZES = 1.0  # standard deviation of the logarithm of species' abundances
_ROWS_AT_A_TIME = 1 << 14


def embedding_mixture(
    n_samples: int, n_features: int, n_species: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of unit length around species, in log-normal numbers.

    Parameters
    ----------
    n_samples, n_features, n_species : int
    seed : int, default=0

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32
    y : ndarray of shape (n_samples,), int
        The species of each row.
    """
    rng = np.random.default_rng(seed)
    shares = rng.lognormal(0, _SIZES, n_species)
    y = rng.choice(n_species, n_samples, p=shares / shares.sum())
    genus = rng.integers(max(1, n_species // _SPECIES_A_GENUS), size=n_species)
    axes = _axes(n_features, _SPECIES_DECAY)
    genera = rng.normal(size=(genus.max() + 1, n_features)) * axes
    own = rng.normal(size=(n_species, n_features)) * axes
    centers = np.sqrt(_GENUS) * genera[genus] + np.sqrt(1 - _GENUS) * own
    common = rng.normal(size=n_features)
    common *= np.sqrt(_COMMON) / np.linalg.norm(common)
    centers = (common + np.sqrt(_SPECIES) * centers).astype(np.float32)
    noise = (np.sqrt(_READ) * _axes(n_features, _READ_DECAY)).astype(np.float32)
    X = np.empty((n_samples, n_features), dtype=np.float32)
    for start in range(0, n_samples, _ROWS_AT_A_TIME):
        rows = X[start : start + _ROWS_AT_A_TIME]
        rng.standard_normal(out=rows, dtype=np.float32)
        rows *= noise
        rows += centers[y[start : start + _ROWS_AT_A_TIME]]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return X, y


def _axes(n_features: int, decay: float) -> np.ndarray:
    variances = np.arange(1, n_features + 1) ** -decay
    return np.sqrt(variances / variances.sum())
