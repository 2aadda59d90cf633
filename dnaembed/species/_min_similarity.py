"""How similar rows of one species are, judged from the rows alone."""

from __future__ import annotations

import logging

import numpy as np

from ._kmedoid import modified_kmedoid, row_blocks

logger = logging.getLogger("dnaembed")

_MAX_ROWS = 2000
_N_CANDIDATES = 32
_LEAST_BIN = 3
# Bins cut out of one shapeless cloud of rows have separations below 0.1 in 64 dimensions and 0.2 in
# 16; those of real species have 0.35 and more, even by tetranucleotides.
_LEAST_SEPARATION = 0.25
_NEIGHBOR_QUANTILE = 0.3


def estimate_min_similarity(
    X: np.ndarray, *, min_bin_size: int, random_state: np.random.RandomState
) -> float:
    """Choose the threshold of the modified K-medoid without labels.

    Rows are binned at each of a range of thresholds, and the one with the most distinct bins wins:
    low thresholds merge species, high ones leave rows out, or cut species into bins that are no
    more similar within than between. See `distinct_bins` for how they are counted.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length; a random 2,000 of them are looked at.
    min_bin_size : int
        Rows that make a bin.
    random_state : RandomState
        Draws the rows.

    Returns
    -------
    float
        From 0 to 1. Where there is nothing to tell apart (too few rows, or one shapeless cloud),
        one that keeps nearly all rows together.
    """
    n_samples = len(X)
    if n_samples > _MAX_ROWS:
        X = X[np.sort(random_state.choice(n_samples, _MAX_ROWS, replace=False))]
        # A bin has as much smaller a share of the rows.
        min_bin_size = max(
            min(_LEAST_BIN, min_bin_size), round(min_bin_size * _MAX_ROWS / n_samples)
        )
    if len(X) < 2 * min_bin_size or len(X) < 2 * _LEAST_BIN:
        return _single_bin_similarity(X)
    candidates = _candidates(X, min_bin_size)
    counts = np.empty(len(candidates))
    separations = np.empty(len(candidates))
    for i, candidate in enumerate(candidates):
        labels = modified_kmedoid(X, candidate, min_bin_size=min_bin_size, max_iter=len(X)).labels
        counts[i], separations[i] = distinct_bins(X, labels)
    # Neighbouring thresholds should agree: a single lucky one is not trusted.
    padded = np.concatenate([counts[:1], counts, counts[-1:]])
    best = int(np.convolve(padded, [0.25, 0.5, 0.25], "valid").argmax())
    if separations[best] < _LEAST_SEPARATION:
        logger.info("min_similarity: no groups stand out; rows are kept together.")
        return _single_bin_similarity(X)
    logger.info("min_similarity estimated as %.3f.", candidates[best])
    return float(candidates[best])


def neighbor_similarity(
    X: np.ndarray, *, min_bin_size: int, random_state: np.random.RandomState
) -> float:
    """Choose the threshold of the modified K-medoid by how near the neighbours of rows are.

    A row of a species with enough rows for a bin has ``min_bin_size - 1`` others near by. The
    threshold is what 70 % of the rows have as similarity to the last of these.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length; the neighbours of a random 2,000 of them are looked at.
    min_bin_size : int
        Rows that make a bin.
    random_state : RandomState
        Draws the rows.

    Returns
    -------
    float
        From 0 to 1.
    """
    drawn = np.arange(len(X))
    if len(X) > _MAX_ROWS:
        drawn = np.sort(random_state.choice(len(X), _MAX_ROWS, replace=False))
    place = min(max(min_bin_size, 2), len(X))  # the row itself comes first
    nearest = np.empty(len(drawn))
    for block in row_blocks(len(drawn), len(X) * X.itemsize):
        similarities = X[drawn[block]] @ X.T
        nearest[block] = np.partition(similarities, -place, axis=1)[:, -place]
    return float(np.clip(np.quantile(nearest, _NEIGHBOR_QUANTILE) - 1e-6, 0, 1))


def distinct_bins(X: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Count bins, each as far as it is distinct from the others.

    The separation of a bin is a silhouette of its mean pair: ``(a - b) / (1 - b)``, with `a` the
    mean similarity of two of its rows and `b` that of one of its rows and one of the nearest other
    bin; at least 0.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.
    labels : ndarray of shape (n_samples,)
        Bins, -1 for rows without one.

    Returns
    -------
    count : float
        Sum of the separations, times the share of rows that have a bin.
    separation : float
        Mean of the separations; 0 without bins. A single bin has separation 0.
    """
    n_bins = labels.max() + 1
    if n_bins < 2:
        return 0.0, 0.0
    binned = labels >= 0
    sizes = np.bincount(labels[binned])
    centers = np.stack([X[rows].mean(axis=0, dtype=np.float64) for rows in members_of_bins(labels)])
    between = centers @ centers.T
    # A row's similarity to itself, 1, says nothing.
    within = (np.diag(between) * sizes - 1) / np.maximum(sizes - 1, 1)
    np.fill_diagonal(between, -np.inf)
    nearest = between.max(axis=1)
    separation = np.clip((within - nearest) / np.maximum(1 - nearest, 1e-9), 0, 1)
    return float(binned.mean() * separation.sum()), float(separation.mean())


def members_of_bins(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each bin, from bin 0, in ascending order."""
    binned = np.flatnonzero(labels >= 0)
    if not len(binned):
        return []
    rows = binned[np.argsort(labels[binned], kind="stable")]
    return np.split(rows, np.cumsum(np.bincount(labels[binned]))[:-1])


def _candidates(X: np.ndarray, min_bin_size: int) -> np.ndarray:
    """Thresholds from the similarity of strangers to that of near neighbours.

    Evenly spaced as angles, which resolves well the similarities near 1 of some embeddings.
    """
    similarities = X @ X.T
    pairs = similarities[np.triu_indices(len(X), 1)]
    neighbours = np.partition(similarities, -min_bin_size, axis=1)[:, -min_bin_size]
    low, high = np.clip([np.median(pairs), np.quantile(neighbours, 0.9)], 1e-3, 1.0)
    return np.cos(np.linspace(np.arccos(low), np.arccos(max(low, high)), _N_CANDIDATES))


def _single_bin_similarity(X: np.ndarray) -> float:
    """Threshold that nearly all rows reach towards their common mean."""
    return float(np.clip(np.quantile(X @ X.mean(axis=0), 0.01) - 1e-6, 0, 1))
