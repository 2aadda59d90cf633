"""Bins as the communities of a graph that links each row to its nearest neighbours."""

from dataclasses import dataclass
from typing import Any, Self

import graspologic_native
import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.utils import column_or_1d

from ..utils._rows import row_blocks
from ._neighbors import find_neighbors

# A graph of nearest neighbours has no scale of its own: modularity prefers bins whose size grows
# with the data. The search for a resolution starts where bins of 10 rows stay apart, but not with
# more pieces than Leiden soon finds; with coverage, which parts small bins by itself, at the other.
_ROWS_PER_RESOLUTION, _MOST_RESOLUTION, _OTHER_ROWS_PER_RESOLUTION = 125, 400, 500
_LEAST_RESOLUTION = 1 / 32  # does not cut two species of thousands of rows
# Pieces of large species have mean separations up to 0.25, bins of similar species from 0.28, of
# few species from 0.46. Joining pieces raises it by more than 0.1, joining species by less
# (docs/benchmarks/binning_resolution.py).
_LEAST_SEPARATION, _CLEAR_SEPARATION, _RISE = 0.25, 0.45, 0.1
# Bins of many similar species stand out less, by 0.12 and more, but another run of Leiden finds
# them again: the adjusted Rand index is above 0.95. Pieces of 310 single species did not have both
# where the resolution was above 1.
_STEADY_SEPARATION, _STEADY = 0.12, 0.95
# Far out, as in Tukey's box plots: three times the middle half of the bin below it.
_FENCE = 3.0
_LEIDEN_ITERATIONS = 2  # the second raises modularity a little, the third hardly
_FEW = 5
_LEAST_ROWS = 10
_PAIRS_AT_A_TIME = 1 << 14
# Coverage does not vary along a genome, composition does: the more of the similarity is coverage,
# the less alike two bins may be that are one species. Measured with 1, 3, 5 and 10 samples.
_ALIKE_PER_SHARE = 0.2
# Among so few rows, neighbours in a graph are mostly of other species: a tree does better up to
# there, measured on 1 to 20 species of 4 to 100 contigs.
_TREE_ROWS = 100
# Mean silhouette at which the bins of a tree are more than pieces of one species.
_LEAST_SILHOUETTE = 0.4


def neighbor_graph(indices: np.ndarray, similarities: np.ndarray) -> sparse.csr_array:
    """Link similar rows to their nearest neighbours, by the Jaccard index of their neighbours."""
    n_samples, n_neighbors = indices.shape
    sources = np.repeat(np.arange(n_samples), n_neighbors)
    linked = similarities.ravel() > 0
    a, b = sources[linked], indices.ravel()[linked]
    a, b = np.divmod(np.unique(np.minimum(a, b) * n_samples + np.maximum(a, b)), n_samples)
    sets = np.hstack([np.arange(n_samples, dtype=indices.dtype)[:, None], indices])
    shared = np.empty(len(a))
    for start in range(0, len(a), _PAIRS_AT_A_TIME):
        part = slice(start, start + _PAIRS_AT_A_TIME)
        equal = sets[a[part]][:, :, None] == sets[b[part]][:, None, :]
        shared[part] = np.count_nonzero(equal, axis=(1, 2))
    weights = shared / (2 * sets.shape[1] - shared)
    # Neighbours that share none are linked all the same, weakly.
    weights = np.maximum(weights, 0.5 / (2 * sets.shape[1]))
    graph = sparse.csr_array((weights, (a, b)), shape=(n_samples, n_samples))
    return (graph + graph.T).tocsr()


@dataclass(frozen=True)
class Sizes:
    """Which bins are large enough: by rows, or by bases where `lengths` are known."""

    min_rows: int
    min_bases: float = np.inf
    lengths: np.ndarray | None = None

    @classmethod
    def of(cls, n_rows: int, min_rows: int | str, min_bases: float, lengths: Any) -> Self:
        """Take the parameters of an estimator; "auto" is 10, or a tenth of few rows."""
        if lengths is not None:
            lengths = column_or_1d(lengths)
            if len(lengths) != n_rows or not np.all(np.greater_equal(lengths, 0)):
                raise ValueError(
                    f"lengths must have one value for each of the {n_rows} sequences, at least 0."
                )
        if isinstance(min_rows, str):
            min_rows = min(_LEAST_ROWS, max(2, -(-n_rows // _LEAST_ROWS)))
        return cls(min_rows, min_bases, lengths)

    def ranked(self, labels: np.ndarray, *, min_rows: int | None = None) -> np.ndarray:
        """Discard small bins, and number the others from the largest."""
        order = np.argsort(-np.bincount(labels[labels >= 0]), kind="stable")
        kept = order[self.are_large(labels, min_rows)[order]]
        names = np.full(len(order) + 1, -1)  # the last is of label -1
        names[kept] = np.arange(len(kept))
        return names[labels]

    def are_large(self, labels: np.ndarray, min_rows: int | None = None) -> np.ndarray:
        """Tell which bins are large enough."""
        binned = labels >= 0
        large: np.ndarray = np.bincount(labels[binned]) >= (min_rows or self.min_rows)
        if self.lengths is not None:
            large |= np.bincount(labels[binned], self.lengths[binned]) >= self.min_bases
        return large


def graph_bins(
    X: np.ndarray,
    sizes: Sizes,
    *,
    n_neighbors: int,
    neighbors: str,
    resolution: float | str,
    random_state: np.random.RandomState,
    share: float = 0.0,
) -> np.ndarray:
    """Bin rows of unit length, from the largest bin; -1 is no bin, as of rows of zeros.

    `share` is what coverage counts of a similarity. With `resolution` "auto", bins that coverage
    does not tell apart are joined, and few rows are binned by a tree.
    """
    labels = np.full(len(X), -1)
    present = np.flatnonzero(np.einsum("ij,ij->i", X, X) > 0)
    rows = X if len(present) == len(X) else X[present]
    if len(rows) < 2 or (resolution == "auto" and len(rows) <= _TREE_ROWS):
        labels[present] = tree_bins(rows)
        return without_strays(X, sizes.ranked(labels), sizes)
    n_neighbors = min(n_neighbors, len(rows) - 1)
    nearest = find_neighbors(rows, n_neighbors, how=neighbors, random_state=random_state)
    graph = neighbor_graph(*nearest)
    auto = resolution == "auto"
    fine = 0 if share > 0 else min(len(rows) / _ROWS_PER_RESOLUTION, _MOST_RESOLUTION)
    chosen = max(1.0, fine, len(rows) / _OTHER_ROWS_PER_RESOLUTION) if auto else float(resolution)
    seed = int(random_state.randint(2**31 - 1))
    kept: tuple[np.ndarray, float] | None = None
    steady: np.ndarray | None = None
    # Too large a resolution cuts large species into pieces, which resemble each other; too small a
    # one merges species without a sign of it. So start high, and halve while there are pieces.
    while True:
        found = labels[present] = communities(graph, chosen, seed)
        if auto and share > 0:
            labels = join_pieces(X, sizes.ranked(labels, min_rows=2), 1 - _ALIKE_PER_SHARE * share)
        labels = sizes.ranked(labels)
        if not auto:  # who sets a resolution gets the bins of that resolution
            break
        separation = separation_of_bins(X, labels)
        stand_out = separation >= (_LEAST_SEPARATION if chosen >= 1 else _CLEAR_SEPARATION)
        if kept is not None and not (stand_out and separation > kept[1] + _RISE):
            labels = kept[0]
            break
        if labels.max() < 1 or separation >= _CLEAR_SEPARATION:
            break
        kept = (labels.copy(), separation) if stand_out else None
        # Once bins stand out, they or larger ones are taken: none of these is asked for.
        if not stand_out and steady is None and chosen > 1 and separation >= _STEADY_SEPARATION:
            again = communities(graph, chosen, seed + 1)
            steady = labels.copy() if adjusted_rand_score(found, again) >= _STEADY else None
        if chosen <= _LEAST_RESOLUTION:
            if steady is None:
                # Leiden cuts any cloud into pieces. These are pieces of one group, at every scale.
                labels[present] = 0
            else:
                labels = steady
            break
        chosen = max(1.0, chosen / 2) if chosen > 1 else chosen / 2
    return without_strays(X, labels, sizes)


def tree_bins(X: np.ndarray) -> np.ndarray:
    """Bin few rows by average linkage where the mean silhouette is largest; all in one if small."""
    best, labels = _LEAST_SILHOUETTE, np.zeros(len(X), dtype=int)
    if len(X) < 3:
        return labels
    distances = cosine_distances(X)
    tree = linkage(squareform(distances, checks=False), "average")
    for n_bins in range(2, len(X) // 2 + 1):
        found = fcluster(tree, n_bins, "maxclust") - 1
        if not 0 < found.max() < len(X) - 1:
            continue  # rows that are equal
        score = silhouette_score(distances, found, metric="precomputed")
        if score > best:
            best, labels = score, found
    return labels


def without_strays(X: np.ndarray, labels: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Take out rows that are far from the centre of their bin; large ones are bins alone.

    A bin that would be too small without its strays keeps them.
    """
    is_stray, is_unlike = np.zeros((2, len(X)), dtype=bool)
    is_long = None if sizes.lengths is None else sizes.lengths >= sizes.min_bases
    centers, limits = centers_and_limits(X, labels)
    for members, center, limit in zip(members_of_bins(labels), centers, limits, strict=True):
        similarities = X[members] @ center
        is_stray[members] = similarities < limit
        if is_long is not None and np.count_nonzero(~is_long[members]) >= _FEW:
            # A long sequence of a species is more like its centre than short ones are.
            least = np.quantile(similarities[~is_long[members]], 0.25)
            is_unlike[members] = is_long[members] & (similarities < least)
    enough = np.append(sizes.are_large(np.where(is_stray, -1, labels)), False)
    labels = np.where(is_unlike | (is_stray & enough[labels]), -1, labels)
    alone = np.flatnonzero((labels < 0) & X.any(axis=1))
    labels[alone] = labels.max() + 1 + np.arange(len(alone))
    return sizes.ranked(labels)


def communities(graph: sparse.csr_array, resolution: float, seed: int) -> np.ndarray:
    """Cut a graph by the Leiden algorithm; nodes without links are communities of their own."""
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
    """Join bins of two rows and more that are at least `least` alike, the most alike first.

    That is the mean similarity between them, over the geometric mean of those within them.
    """
    if labels.max() < 1:
        return labels
    members = members_of_bins(labels)
    sums = np.stack([X[rows].sum(axis=0, dtype=np.float64) for rows in members])
    sizes = np.array([len(rows) for rows in members], dtype=np.float64)
    joined = np.arange(len(sums))

    def scaled(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        within = (np.einsum("ij,ij->i", sums, sums) - sizes) / (sizes * (sizes - 1))
        return sums / (sizes * np.sqrt(np.maximum(within, 1e-9)))[:, None]

    pieces = scaled(sums, sizes)  # the scalar product of two says how alike they are
    most, nearest = np.empty(len(pieces)), np.empty(len(pieces), dtype=int)

    def find_nearest(rows: np.ndarray) -> None:
        for block in row_blocks(len(rows), pieces.itemsize * len(pieces)):
            alike = pieces[rows[block]] @ pieces.T
            alike[np.arange(len(alike)), rows[block]] = -np.inf
            most[rows[block]], nearest[rows[block]] = alike.max(axis=1), alike.argmax(axis=1)

    find_nearest(joined)
    while most.max() >= least:
        i, j = sorted((int(most.argmax()), int(nearest[most.argmax()])))
        sums[i] += sums[j]
        sizes[i] += sizes[j]
        nearest[i] = j
        pieces[i], pieces[j], most[j] = scaled(sums[[i]], sizes[[i]])[0], 0, -np.inf
        joined[joined == j] = i
        alike = pieces @ pieces[i]
        closer = alike > most
        most[closer], nearest[closer] = alike[closer], i
        # What is less alike than `least` need not know what it is most alike.
        find_nearest(np.flatnonzero((most >= least) & np.isin(nearest, (i, j))))
    return Sizes(1).ranked(np.append(joined, -1)[labels])


def separation_of_bins(X: np.ndarray, labels: np.ndarray) -> float:
    """Average ``(a - b) / (1 - b)`` over bins: mean similarities within, and to the nearest bin."""
    if labels.max() < 1:
        return 0.0
    sizes = np.bincount(labels[labels >= 0])
    centers = np.stack([X[rows].mean(axis=0, dtype=np.float64) for rows in members_of_bins(labels)])
    # The similarity of a row to itself, 1, says nothing.
    within = np.einsum("ij,ij->i", centers, centers)
    within = (within * sizes - 1) / np.maximum(sizes - 1, 1)
    nearest = np.empty(len(centers))
    for block in row_blocks(len(centers), centers.itemsize * len(centers)):
        between = centers[block] @ centers.T
        np.fill_diagonal(between[:, block], -np.inf)
        nearest[block] = between.max(axis=1)
    separation = np.clip((within - nearest) / np.maximum(1 - nearest, 1e-9), 0, 1)
    return float(separation.mean())


def members_of_bins(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each bin, from bin 0, in ascending order."""
    binned = np.flatnonzero(labels >= 0)
    rows = binned[np.argsort(labels[binned], kind="stable")]
    return np.split(rows, np.cumsum(np.bincount(labels[binned]))[:-1]) if len(rows) else []


def centers_and_limits(X: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the rows of each bin, and say how similar to that mean a row of the bin must be."""
    n_bins = labels.max() + 1
    centers, limits = np.empty((n_bins, X.shape[1]), dtype=X.dtype), np.empty(n_bins)
    for i, members in enumerate(members_of_bins(labels)):
        rows = X[members]
        centers[i] = rows.mean(axis=0)
        low, high = np.quantile(rows @ centers[i], [0.25, 0.75])
        limits[i] = low - _FENCE * (high - low) - 1e-6
    return centers, limits
