"""Bins as the communities of a graph that links each row to its nearest neighbours."""

from __future__ import annotations

import logging

import graspologic_native
import numpy as np
from scipy import sparse
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA

from ._neighbors import find_neighbors

logger = logging.getLogger("dnaembed")

# A graph of nearest neighbours has no scale of its own: modularity prefers bins whose size grows
# with the data. Rows per unit of resolution at which bins of 10 to 300 rows came out best, on 8,
# 20 and 78 species, even and skewed.
ROWS_PER_RESOLUTION = 500
# Real species have mean separations of 0.2 and more; pieces of one shapeless cloud 0.1 and less.
_LEAST_SEPARATION = 0.15
# Far out, as in Tukey's box plots: three times the middle half of the bin below it.
_FENCE = 3.0
_LEIDEN_ITERATIONS = 2  # the second raises modularity a little, the third hardly
_PAIRS_AT_A_TIME = 1 << 14
# Coverage does not vary along a genome, composition does: the more of the similarity is coverage,
# the less alike two bins may be that are one species. Measured with 1, 3, 5 and 10 samples.
_ALIKE_PER_SHARE = 0.2
_HDBSCAN_COMPONENTS = 20
_HDBSCAN_NEIGHBORS = 3


def neighbor_graph(indices: np.ndarray, similarities: np.ndarray) -> sparse.csr_array:
    """Link rows to their nearest neighbours, by how many neighbours they share.

    The weight of a link is the Jaccard index of the two sets of neighbours, each row one of its
    own. Rows that are not similar at all (dot product 0 or less) are not linked.
    """
    n_samples, n_neighbors = indices.shape
    sources = np.repeat(np.arange(n_samples), n_neighbors)
    linked = similarities.ravel() > 0
    a, b = sources[linked], indices.ravel()[linked]
    pairs = np.sort(np.minimum(a, b) * n_samples + np.maximum(a, b))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    a, b = pairs // n_samples, pairs % n_samples
    sets = np.hstack([np.arange(n_samples)[:, None], indices])
    shared = np.empty(len(pairs))
    for start in range(0, len(pairs), _PAIRS_AT_A_TIME):
        part = slice(start, start + _PAIRS_AT_A_TIME)
        equal = sets[a[part]][:, :, None] == sets[b[part]][:, None, :]
        shared[part] = np.count_nonzero(equal, axis=(1, 2))
    weights = shared / (2 * sets.shape[1] - shared)
    # Neighbours that share none are linked all the same, weakly.
    weights = np.maximum(weights, 0.5 / (2 * sets.shape[1]))
    graph = sparse.csr_array((weights, (a, b)), shape=(n_samples, n_samples))
    return (graph + graph.T).tocsr()


def graph_bins(
    X: np.ndarray,
    *,
    n_neighbors: int,
    neighbors: str,
    resolution: float | str,
    min_bin_size: int,
    random_state: np.random.RandomState,
    share: float = 0.0,
) -> np.ndarray:
    """Bin rows by the Leiden algorithm on their graph of nearest neighbours.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length; rows of zeros are in no bin.
    n_neighbors : int
    neighbors : {"auto", "exact", "approximate"}
    resolution : float or "auto"
        Of the modularity: larger gives more bins. "auto": a unit for every 500 rows, at least 1;
        halved while the bins do not stand out from each other, and at last a single bin.
    min_bin_size : int
        Smaller bins are discarded.
    random_state : RandomState
    share : float, default=0
        Of a similarity, what is coverage. With `resolution` "auto", bins that coverage does not
        tell apart are joined: see `join_pieces`.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bins from the largest, -1 for none.

    References
    ----------
    .. [1] Traag, Waltman & van Eck, "From Louvain to Leiden: guaranteeing well-connected
       communities", Scientific Reports 9 (2019), 5233.
    """
    labels = np.full(len(X), -1)
    present = np.flatnonzero(np.einsum("ij,ij->i", X, X) > 0)
    rows = X[present]
    if len(rows) < 2:
        labels[present] = 0
        return ranked_bins(labels, min_bin_size)
    n_neighbors = min(n_neighbors, len(rows) - 1)
    graph = neighbor_graph(
        *find_neighbors(rows, n_neighbors, how=neighbors, random_state=random_state)
    )
    chosen = (
        max(1.0, len(rows) / ROWS_PER_RESOLUTION) if resolution == "auto" else float(resolution)
    )
    seed = int(random_state.randint(2**31 - 1))
    # Too large a resolution cuts large species into pieces, which resemble each other; too small a
    # one merges species without a sign of it. So start high, and halve while there are pieces.
    while True:
        labels[present] = communities(graph, chosen, seed)
        if resolution == "auto" and share > 0:
            labels = join_pieces(X, ranked_bins(labels, 2), 1 - _ALIKE_PER_SHARE * share)
        labels = ranked_bins(labels, min_bin_size)
        # Who sets a resolution gets the bins of that resolution.
        if resolution != "auto" or labels.max() < 1:
            break
        if separation_of_bins(X, labels) >= _LEAST_SEPARATION:
            break
        if chosen == 1:
            # Leiden cuts any cloud into pieces. These are pieces of one group, at every scale.
            logger.info("Bins do not stand out from each other; rows are kept together.")
            labels[present] = 0
            break
        chosen = max(1.0, chosen / 2)
    # Each row is linked to something, so strays are in bins, too: they are far from the centre.
    centers, limits = centers_and_limits(X, labels)
    for members, center, limit in zip(members_of_bins(labels), centers, limits, strict=True):
        labels[members[X[members] @ center < limit]] = -1
    return ranked_bins(labels, min_bin_size)


def communities(graph: sparse.csr_array, resolution: float, seed: int) -> np.ndarray:
    """Cut a graph into communities by the Leiden algorithm.

    Returns
    -------
    ndarray of shape (n_nodes,), int
        Nodes without links are communities of their own.
    """
    n_nodes = graph.shape[0]
    labels = np.arange(n_nodes)
    if graph.nnz:
        _, found = graspologic_native.leiden_csr(
            graph.indptr.astype(np.int64),
            graph.indices.astype(np.int32),
            graph.data,
            n_nodes,
            resolution=resolution,
            iterations=_LEIDEN_ITERATIONS,
            seed=seed,
        )
        labels[list(found)] = list(found.values())
    return labels


def join_pieces(X: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    """Join bins that are pieces of one species, the most alike first.

    How alike two bins are is the mean similarity of a row of one and a row of the other, over the
    geometric mean of the mean similarities within them: about 1 for pieces cut at random.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.
    labels : ndarray of shape (n_samples,)
        Bins of two rows and more, -1 for rows without one.
    least : float
        Bins that are at least so alike are joined.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bins from the largest, -1 for none.
    """
    if labels.max() < 1:
        return labels
    members = members_of_bins(labels)
    sums = np.stack([X[rows].sum(axis=0, dtype=np.float64) for rows in members])
    sizes = np.array([len(rows) for rows in members], dtype=np.float64)
    products = sums @ sums.T
    joined = np.arange(len(sums))

    def alike(i: int) -> np.ndarray:
        within = np.maximum((np.diag(products) - sizes) / (sizes * (sizes - 1)), 1e-9)
        between = products[i] / (sizes[i] * sizes)
        values: np.ndarray = between / np.sqrt(within[i] * within)
        values[~alive] = values[i] = -np.inf
        return values

    alive = np.full(len(sums), True)
    table = np.stack([alike(i) for i in range(len(sums))])
    while True:
        i, j = np.unravel_index(table.argmax(), table.shape)
        if table[i, j] < least:
            break
        sizes[i] += sizes[j]
        products[i] += products[j]
        products[:, i] += products[:, j]
        alive[j] = False
        joined[joined == j] = i
        table[j] = table[:, j] = -np.inf
        table[i] = table[:, i] = alike(int(i))
    found = labels.copy()
    found[labels >= 0] = joined[labels[labels >= 0]]
    return ranked_bins(found, 1)


def separation_of_bins(X: np.ndarray, labels: np.ndarray) -> float:
    """Say how distinct bins are from each other.

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
    float
        Mean of the separations; 0 with fewer than two bins.
    """
    if labels.max() < 1:
        return 0.0
    sizes = np.bincount(labels[labels >= 0])
    centers = np.stack([X[rows].mean(axis=0, dtype=np.float64) for rows in members_of_bins(labels)])
    between = centers @ centers.T
    # The similarity of a row to itself, 1, says nothing.
    within = (np.diag(between) * sizes - 1) / np.maximum(sizes - 1, 1)
    np.fill_diagonal(between, -np.inf)
    nearest = between.max(axis=1)
    separation = np.clip((within - nearest) / np.maximum(1 - nearest, 1e-9), 0, 1)
    return float(separation.mean())


def members_of_bins(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each bin, from bin 0, in ascending order."""
    binned = np.flatnonzero(labels >= 0)
    if not len(binned):
        return []
    rows = binned[np.argsort(labels[binned], kind="stable")]
    return np.split(rows, np.cumsum(np.bincount(labels[binned]))[:-1])


def centers_and_limits(X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the rows of each bin, and say how similar to that mean a row of the bin must be.

    Returns
    -------
    centers : ndarray of shape (n_bins, n_features)
    limits : ndarray of shape (n_bins,)
        The lower quartile of the similarities of the bin's rows to the centre, less three times
        the distance of the quartiles.
    """
    n_bins = labels.max() + 1
    centers, limits = np.empty((n_bins, X.shape[1]), dtype=X.dtype), np.empty(n_bins)
    for i, members in enumerate(members_of_bins(labels)):
        rows = X[members]
        centers[i] = rows.mean(axis=0)
        low, high = np.quantile(rows @ centers[i], [0.25, 0.75])
        limits[i] = low - _FENCE * (high - low) - 1e-6
    return centers, limits


def hdbscan_bins(X: np.ndarray, *, min_bin_size: int, seed: int) -> np.ndarray:
    """Bin rows by HDBSCAN, on the first principal components.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Bins from the largest, -1 for none.

    References
    ----------
    .. [1] Campello, Moulavi & Sander, "Density-based clustering based on hierarchical density
       estimates", PAKDD 2013.
    """
    least = max(2, min_bin_size)
    if len(X) < least:
        return np.full(len(X), -1)
    n_components = min(_HDBSCAN_COMPONENTS, *X.shape)
    if not np.ptp(X, axis=0).any():  # equal rows have no principal components
        X = X[:, :n_components]
    elif X.shape[1] > n_components:
        X = PCA(n_components, random_state=seed).fit_transform(X)
    labels = HDBSCAN(
        min_cluster_size=least,
        min_samples=min(_HDBSCAN_NEIGHBORS, len(X)),
        cluster_selection_method="leaf",
        algorithm="kd_tree",
        copy=True,
    ).fit_predict(X)
    return ranked_bins(labels, min_bin_size)


def ranked_bins(labels: np.ndarray, min_bin_size: int) -> np.ndarray:
    """Discard small bins, and number the others from the largest."""
    binned = labels >= 0
    ranked = np.full(len(labels), -1)
    if not binned.any():
        return ranked
    sizes = np.bincount(labels[binned])
    order = np.argsort(-sizes, kind="stable")
    names = np.full(len(sizes), -1)
    kept = order[sizes[order] >= max(1, min_bin_size)]
    names[kept] = np.arange(len(kept))
    ranked[binned] = names[labels[binned]]
    return ranked
