"""K-means on more rows than are copied or started from more than once."""

from __future__ import annotations

import logging

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans

from ..utils._progress import progress
from ._kmedoid import row_blocks
from ._unit_rows import UnitRows

logger = logging.getLogger("dnaembed")

# Rows above which K-means starts from a sample; up to it scikit-learn's own has all rows.
LARGE_ROWS = 100_000
# The sample: so many rows, or so many a cluster if that is more.
_SAMPLE_ROWS = 50_000
_SAMPLE_ROWS_A_CLUSTER = 30
# Of a start, which only has to be better than the others: the rest is done on all rows.
_START_ITERATIONS = 30


def large_kmeans(
    rows: UnitRows,
    n_clusters: int,
    *,
    init: str,
    n_init: int,
    max_iter: int,
    tol: float,
    random_state: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cluster rows by K-means: starts on a sample, then Lloyd's iterations over all rows.

    The rows are read a block at a time, once an iteration, and computed with in single precision.

    Parameters
    ----------
    rows : UnitRows
    n_clusters : int
    init : {"k-means++", "random"}
    n_init : int
        Starts on the sample, of which the best is kept.
    max_iter : int
        Most iterations over all rows; a start has at most 30.
    tol : float
        A start ends as scikit-learn's K-means does; the iterations over all rows end when the sum
        of squared distances has become less by no more than this share of it.
    random_state : RandomState
        Draws the sample and the first centres.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
    centers : ndarray of shape (n_clusters, n_features), float32
    n_iter : int
        Iterations over all rows.
    """
    n_samples = len(rows)
    n_drawn = min(n_samples, max(_SAMPLE_ROWS, _SAMPLE_ROWS_A_CLUSTER * n_clusters))
    drawn = np.sort(random_state.choice(n_samples, n_drawn, replace=False))
    logger.info("K-means: %d starts on %s of %s rows.", n_init, f"{n_drawn:,}", f"{n_samples:,}")
    start = KMeans(
        n_clusters,
        init=init,
        n_init=n_init,
        max_iter=min(max_iter, _START_ITERATIONS),
        tol=tol,
        random_state=random_state,
    ).fit(rows[drawn].astype(np.float32, copy=False))
    centers = start.cluster_centers_
    labels = np.empty(n_samples, dtype=np.int32)
    before, n_iter = np.inf, 0
    while True:
        n_iter += 1
        sums, sizes, inertia = _assign(rows, centers, labels, f"K-means, iteration {n_iter}")
        if before - inertia <= tol * inertia or n_iter == max_iter:
            # The labels are those of the centres: what `predict` would say.
            return labels, centers, n_iter
        before = inertia
        means = sums / np.maximum(sizes, 1)[:, None]
        # A centre that has lost all its rows stays where it was.
        centers = np.where(sizes[:, None] > 0, means, centers).astype(np.float32)


def _assign(
    rows: UnitRows, centers: np.ndarray, labels: np.ndarray, description: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """Set the label of each row; return sums, sizes and squared distances of the clusters' rows."""
    n_clusters = len(centers)
    sums = np.zeros(centers.shape)
    sizes = np.zeros(n_clusters, dtype=np.intp)
    inertia = 0.0
    halves = 0.5 * np.einsum("ij,ij->i", centers, centers)
    with progress(total=len(rows), description=description, unit=" rows") as bar:
        for block in row_blocks(len(rows), max(4 * n_clusters, rows.row_bytes)):
            part = rows[block].astype(np.float32, copy=False)
            # The nearest centre: |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2).
            nearness = part @ centers.T
            nearness -= halves
            nearest = nearness.argmax(axis=1)
            labels[block] = nearest
            counts = np.bincount(nearest, minlength=n_clusters)
            best = np.take_along_axis(nearness, nearest[:, None], axis=1)
            inertia += np.einsum("ij,ij->", part, part, dtype=np.float64)
            inertia -= 2 * best.sum(dtype=np.float64)
            sizes += counts
            sums += _sums(part, nearest, counts)
            bar.update(len(part))
    return sums, sizes, float(inertia)


def _sums(rows: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    ends = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(rows), dtype=rows.dtype)
    members = sparse.csr_array((ones, order, ends), shape=(len(counts), len(rows)))
    return members @ rows
