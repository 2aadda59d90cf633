"""How good bins and clusters are, as the DNABERT-S paper measures it.

What scikit-learn has is not here: the paper's purity is `sklearn.metrics.homogeneity_score`, its
completeness `completeness_score`, its ARI `adjusted_rand_score` and its NMI
`normalized_mutual_info_score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from .utils._rows import unit_length

__all__ = [
    "center_similarities",
    "count_above",
    "min_similarity_from_labels",
    "species_f1_recall",
]


def center_similarities(X: Any, y: Any) -> np.ndarray:
    """Measure how similar sequences are to others of their species.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings; rows are scaled to unit length.
    y : array-like of shape (n_samples,)
        Species.

    Returns
    -------
    ndarray of shape (n_samples,)
        Dot product of each row and the mean of its species' rows, which is the mean of its cosine
        similarities to them (itself included).

    Examples
    --------
    >>> from dnaembed.metrics import center_similarities
    >>> center_similarities([[1, 0], [0, 1], [0, 2]], ["a", "b", "b"])
    array([1., 1., 1.])
    """
    X = unit_length(check_array(X, dtype=[np.float64, np.float32]))
    y = column_or_1d(y)
    check_consistent_length(X, y)
    species, codes = np.unique(y, return_inverse=True)
    centers = np.stack([X[codes == code].mean(axis=0) for code in range(len(species))])
    return np.einsum("ij,ij->i", X, centers[codes])


def min_similarity_from_labels(X: Any, y: Any, *, percentile: float = 70) -> float:
    """Choose the threshold of the modified K-medoid from labelled sequences.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings of sequences like those to be binned, but not the same.
    y : array-like of shape (n_samples,)
        Species.
    percentile : float, default=70
        From 0 to 100: how many percent of `center_similarities` lie under the threshold. The paper
        takes 70; a lower one leaves fewer sequences without a bin.

    Returns
    -------
    float
        For ``SpeciesClusterer(min_similarity=...)``.

    Examples
    --------
    >>> from dnaembed.metrics import min_similarity_from_labels
    >>> min_similarity_from_labels([[1.0, 0.0], [0.0, 1.0]], ["a", "a"])
    0.5
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be from 0 to 100, got {percentile}.")
    similarities = np.sort(center_similarities(X, y))
    # As the authors: the value at that place in sorted order, not an interpolation.
    place = min(int(percentile / 100 * len(similarities)), len(similarities) - 1)
    return float(similarities[place])


def species_f1_recall(y_true: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Score the bin of each species.

    Sequences without a bin (label -1) are left out first. Then bins and species are matched one to
    one so that they share the most sequences (Hungarian algorithm).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Species.
    labels : array-like of shape (n_samples,)
        Bins, -1 for none.

    Returns
    -------
    f1 : ndarray of shape (n_species,), float64
        One value for each of ``np.unique(y_true)``; 0 for a species without a bin.
    recall : ndarray of shape (n_species,), float64
        The same for the recall.

    Examples
    --------
    >>> from dnaembed.metrics import species_f1_recall
    >>> species_f1_recall(["a", "a", "a", "b", "b"], [1, 1, -1, 0, 1])
    (array([0.8..., 0.66...]), array([1. , 0.5]))
    """
    y_true, labels = column_or_1d(y_true), column_or_1d(labels)
    check_consistent_length(y_true, labels)
    species = np.unique(y_true)
    f1, recall = np.zeros(len(species)), np.zeros(len(species))
    binned = labels != -1
    if not binned.any():
        return f1, recall
    present, codes = np.unique(y_true[binned], return_inverse=True)
    shared = contingency_matrix(codes, labels[binned])
    rows, columns = linear_sum_assignment(shared, maximize=True)
    together = shared[rows, columns]
    n_species, n_bin = shared.sum(axis=1)[rows], shared.sum(axis=0)[columns]
    where = np.searchsorted(species, present[rows])
    f1[where] = 2 * together / (n_species + n_bin)
    recall[where] = together / n_species
    return f1, recall


def count_above(
    scores: Any, thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
) -> np.ndarray:
    """Count the species whose score is above each threshold.

    Parameters
    ----------
    scores : array-like of shape (n_species,)
        F1 or recall, from `species_f1_recall`.
    thresholds : sequence of float, default=(0.1, 0.2, ..., 0.9)
        Those of the paper.

    Returns
    -------
    ndarray of shape (n_thresholds,), int
        A score equal to a threshold is not above it.

    Examples
    --------
    >>> from dnaembed.metrics import count_above
    >>> count_above([0.3, 0.95, 0.5], thresholds=[0.1, 0.5, 0.9])
    array([3, 1, 1])
    """
    scores = np.asarray(scores, dtype=np.float64)
    return np.count_nonzero(scores[:, None] > np.asarray(thresholds), axis=0)
