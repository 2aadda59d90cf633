"""`SpeciesClusterer`: clusters of a known number, or bins of an unknown one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._sequences import as_container, check_sequences, holds_sequences
from ..utils._progress import progress
from ..utils._rows import row_blocks
from ._abundance import (
    Scale,
    UnitRows,
    abundance_share,
    check_abundance,
    check_same_samples,
    fit_abundance_scale,
    names_of_profiles,
)
from ._graph import Sizes, centers_and_limits, graph_bins, hdbscan_bins
from ._inputs import SequencesOrEmbeddingsMixin
from ._kmedoid import modified_kmedoid, nearest_bin

# Rows above which K-means reads them a batch at a time, so that they may stay on disk.
LARGE_ROWS = 100_000
# Rows in a batch, and rows that K-means starts on: per cluster, and at the least.
_BATCH_ROWS_PER_CLUSTER, _BATCH_ROWS = 20, 10_000
_START_ROWS_PER_CLUSTER, _START_ROWS = 30, 50_000
_START_ITERATIONS = 30
_MAX_PASSES = 5  # over all rows


class SpeciesClusterer(SequencesOrEmbeddingsMixin, ClusterMixin, BaseEstimator):
    """Group DNA reads or contigs by species, without labels.

    With `n_clusters`, K-means on embeddings of unit length, where each read belongs to a cluster.
    Without, bins, as many as there are, by one of three methods; reads that fit in none are left
    out.

    Takes DNA sequences, which it embeds, or embeddings made beforehand.

    Parameters
    ----------
    n_clusters : int, default=None
        Number of clusters, for K-means; None to find bins.

    embedder : transformer, default=None
        Embeds sequences; a clone of it is fitted. None stands for `DNABertSEmbedder` with its
        default parameters. Not used if `fit` is given embeddings.

    method : {"auto", "graph", "kmedoid", "hdbscan"}, default="auto"
        How bins are found. ``"graph"``: the Leiden algorithm on a graph of nearest neighbours.
        ``"kmedoid"``: the modified K-medoid of the DNABERT-S paper, which needs `min_similarity`.
        ``"hdbscan"``: dense regions. ``"auto"``: ``"kmedoid"`` if `min_similarity` is given,
        else ``"graph"``, which found the most species. Only without `n_clusters`.

    min_similarity : float, default=None
        Cosine similarity, from 0 to 1, that the reads of a bin have on average: higher gives
        smaller, purer bins and more reads without one. As the paper does,
        `dnaembed.metrics.min_similarity_from_labels` takes it from labelled reads of the same
        kind. Only for the K-medoid.

    n_neighbors : int, default=15
        Neighbours that a read is linked to; only for the graph.

    neighbors : {"auto", "exact", "approximate"}, default="auto"
        How neighbours are found; only for the graph. ``"exact"``: all pairs are compared, a block
        at a time, in a time that grows with the square of the number of reads. ``"approximate"``:
        nearest-neighbour descent. ``"auto"``: exact up to 200,000 reads.

    resolution : float or "auto", default="auto"
        Larger gives more and smaller bins; only for the graph. ``"auto"``: a unit for every 500
        reads, at least 1, halved while the bins do not stand out from each other, and at last a
        single bin; up to 100 reads are binned by a tree instead (see the notes).

    abundance_weight : float or "auto", default="auto"
        From 0 to 1: what abundances count if `fit` is given any, the embedding counting the rest.
        "auto" rises with the number of samples: 0.1 for one, 0.3 for three, 0.5 from ten on.

    min_bin_size : int or "auto", default="auto"
        Bins of fewer reads are discarded, unless they have `min_bin_bases`: their reads have label
        -1. "auto": 10, or a tenth of the reads if these are fewer than 100, but at least 2. Only
        without `n_clusters`.

    min_bin_bases : int, default=200_000
        Bins of so many bases are kept, even of one contig. Needs sequences, or their lengths.

    init : {"k-means++", "random"}, default="k-means++"
        First centres of K-means. The paper has ``"random"``.

    n_init : int, default=10
        Starts of K-means, of which the best is kept. The paper has 3.

    max_iter : int, default=1000
        Most iterations of a start of K-means; most bins tried by the K-medoid. Reads that are left
        then have label -1.

    tol : float, default=1e-4
        Movement of the centres, relative to the variance of the data, at which K-means stops; not
        used with more than 100,000 reads.

    random_state : int, RandomState instance or None, default=None
        First centres of K-means, and the reads that it starts on if there are many; the order in
        which the graph is searched, and its approximate neighbours. An int makes results
        reproducible.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Cluster of each read, from 0. Bins are numbered from the densest (K-medoid) or the largest;
        -1 is no bin.

    cluster_centers_ : ndarray of shape (`n_clusters_`, n_features)
        Means of the clusters' embeddings of unit length; with abundances, of these joined with
        64 columns per sequenced sample.

    n_clusters_ : int
        Number of clusters or bins.

    min_similarity_ : float
        Threshold in use; only for the K-medoid.

    bin_limits_ : ndarray of shape (`n_clusters_`,)
        Least similarity to the centre of a bin that is not far out: the lower quartile of its
        reads', less three times the distance of the quartiles; only for the graph and HDBSCAN.

    n_iter_ : int
        Iterations of K-means, or bins tried by the K-medoid; 1 for the others.

    embedder_ : transformer
        The fitted embedder; only if `fit` was given sequences.

    abundance_names_ : list of str
        Names of the samples; only if `fit` was given a frame of abundances.

    n_features_in_ : int
        Columns of the embeddings; only if `fit` was given embeddings.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of these columns; only if all are strings.

    See Also
    --------
    FewShotSpeciesClassifier : Species from a few labelled reads.
    dnaembed.metrics : How good clusters and bins are.

    Notes
    -----
    The paper's clustering protocol is ``SpeciesClusterer(n_clusters, init="random", n_init=3,
    max_iter=1000, random_state=seed)`` for seeds 0 to 4.

    The modified K-medoid starts a bin at the read with the largest sum of similarities of at least
    `min_similarity`, three times takes in the reads at least that similar to the bin's mean and
    moves the mean, and continues with the reads that are left. Similarities are computed in blocks:
    memory grows with the number of reads, not with its square.

    The graph [2]_ links each read to its nearest neighbours; a link weighs as much as the two
    reads share neighbours (Jaccard index). Reads that are far less similar to the centre of their
    bin than the others (see ``bin_limits_``) are left out of it. HDBSCAN works on the first 20
    principal components. Up to 100 reads, both cut a tree of average linkage where the mean
    silhouette is largest, or leave all together if that is less than 0.4.

    Sizes. No method holds similarities of all pairs of reads. K-means reads embeddings a block at a
    time above 100,000 reads, so that they may be memory-mapped (``np.load(path, mmap_mode="r")``):
    it makes its `n_init` starts on 50,000 of them (or 30 per cluster), and moves the best centres
    by :class:`sklearn.cluster.MiniBatchKMeans` on batches of all reads, in a time that grows with
    their number. The others hold one copy of the embeddings.
    The graph and the K-medoid compare all pairs: four times the time for twice the reads, minutes
    for 100,000; with approximate neighbours the graph takes millions. HDBSCAN compares all pairs
    outside matrix products: it is for up to some 50,000 reads. `predict` works in blocks, and is
    linear.

    Abundances, usually mean coverages of contigs, are taken as logarithms `z`, sample by sample.
    The similarity of two contigs in a sample is ``exp(-(z1 - z2)**2 / (2 * width**2))``, with a
    width of twice the noise of that sample, which contigs with similar embeddings tell; that of two
    contigs is the mean over the samples. It is joined with that of the embeddings as
    ``(1 - abundance_weight) * embedding + abundance_weight * abundance``. The graph then joins bins
    that are pieces of one species: since coverage does not vary along a genome, pieces are the more
    alike the more it counts.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
       embeddings", Bioinformatics 41 (2025), i255. arXiv:2402.08777.
    .. [2] Traag, Waltman & van Eck, "From Louvain to Leiden: guaranteeing well-connected
       communities", Scientific Reports 9 (2019), 5233.

    Examples
    --------
    >>> from dnaembed import KmerEmbedder, SpeciesClusterer
    >>> reads = ["ACGGC" * 40, "ATTAT" * 40, "CCGGA" * 40, "TTATA" * 40]
    >>> clusterer = SpeciesClusterer(2, embedder=KmerEmbedder(k=1), random_state=0).fit(reads)
    >>> bool(clusterer.labels_[0] == clusterer.labels_[2] != clusterer.labels_[1])
    True

    Bins of embeddings, and a new one that belongs to none:

    >>> embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.2, 0.8]]
    >>> binner = SpeciesClusterer(min_similarity=0.8, min_bin_size=2).fit(embeddings)
    >>> binner.labels_
    array([1, 1, 0, 0, 0])
    >>> binner.predict([[1.0, 0.1], [-1.0, 0.0]])
    array([ 1, -1])

    Contigs that only their abundances in two samples tell apart:

    >>> import numpy as np
    >>> contigs, coverage = np.ones((20, 2)), np.repeat([[5.0, 80.0], [60.0, 1.0]], 10, axis=0)
    >>> binner = SpeciesClusterer(min_similarity=0.9, abundance_weight=0.5)
    >>> binner = binner.fit(contigs, abundance=coverage)
    >>> binner.n_clusters_
    2
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "embedder": [HasMethods(["fit", "transform"]), None],
        "method": [StrOptions({"auto", "graph", "kmedoid", "hdbscan"})],
        "min_similarity": [Interval(Real, 0, 1, closed="both"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "neighbors": [StrOptions({"auto", "exact", "approximate"})],
        "resolution": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "abundance_weight": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "min_bin_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "min_bin_bases": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }
    _abundance_scale: Scale

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        embedder: Any = None,
        method: str = "auto",
        min_similarity: float | None = None,
        n_neighbors: int = 15,
        neighbors: str = "auto",
        resolution: float | str = "auto",
        abundance_weight: float | str = "auto",
        min_bin_size: int | str = "auto",
        min_bin_bases: int = 200_000,
        init: str = "k-means++",
        n_init: int = 10,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.embedder = embedder
        self.method = method
        self.min_similarity = min_similarity
        self.n_neighbors = n_neighbors
        self.neighbors = neighbors
        self.resolution = resolution
        self.abundance_weight = abundance_weight
        self.min_bin_size = min_bin_size
        self.min_bin_bases = min_bin_bases
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    # The embedder checks its own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, abundance: Any = None, lengths: Any = None) -> Self:
        """Find clusters or bins.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences, or embeddings.
        y : None
            Ignored.
        abundance : array-like of shape (n_samples, n_profiles), default=None
            How abundant each read or contig is in each of `n_profiles` sequenced samples, such as
            its mean coverage there; at least 0. Joined with the embedding. `predict` matches the
            columns of frames by their names.
        lengths : array-like of shape (n_samples,), default=None
            Bases of each contig, for `min_bin_bases`; known if X holds sequences.

        Returns
        -------
        self : object
            The fitted clusterer.
        """
        X = as_container(X)
        if lengths is None and holds_sequences(X):
            lengths = list(map(len, X := check_sequences(X)))
        embeddings = self._fit_inputs(X)
        for name in ("min_similarity_", "bin_limits_", "_abundance_scale", "abundance_names_"):
            if hasattr(self, name):
                delattr(self, name)  # of an earlier fit
        if abundance is not None:
            names = names_of_profiles(abundance)
            if names is not None:
                self.abundance_names_ = names
            abundance = check_abundance(abundance, len(embeddings))
            self._abundance_scale = fit_abundance_scale(abundance, embeddings)
        rows = self._unit_rows(embeddings, abundance)
        if self.n_clusters is None:
            self._fit_bins(rows[:], rows.weight, lengths)
        elif len(rows) > LARGE_ROWS:
            self._fit_many(rows, self.n_clusters)
        else:
            self._fit_clusters(rows[:])
        self.n_clusters_ = len(self.cluster_centers_)
        return self

    def _kmeans(self, max_iter: int, random_state: Any) -> KMeans:
        return KMeans(
            self.n_clusters,
            init=self.init,
            n_init=self.n_init,
            max_iter=max_iter,
            tol=self.tol,
            random_state=random_state,
        )

    def _fit_clusters(self, embeddings: np.ndarray) -> None:
        kmeans = self._kmeans(self.max_iter, self.random_state).fit(embeddings)
        self.labels_ = kmeans.labels_
        self.cluster_centers_ = kmeans.cluster_centers_
        self.n_iter_ = kmeans.n_iter_

    def _fit_many(self, rows: UnitRows, n_clusters: int) -> None:
        random_state = check_random_state(self.random_state)
        n_drawn = min(len(rows), max(_START_ROWS, _START_ROWS_PER_CLUSTER * n_clusters))
        drawn = np.sort(random_state.choice(len(rows), n_drawn, replace=False))
        start = self._kmeans(min(self.max_iter, _START_ITERATIONS), random_state)
        start.fit(rows[drawn].astype(np.float32, copy=False))
        kmeans = MiniBatchKMeans(
            n_clusters, init=start.cluster_centers_, n_init=1, random_state=random_state
        )
        size = max(_BATCH_ROWS, _BATCH_ROWS_PER_CLUSTER * n_clusters)
        batches = [slice(first, first + size) for first in range(0, len(rows), size)]
        self.n_iter_ = min(self.max_iter, _MAX_PASSES)
        with progress(total=self.n_iter_ * len(rows), description="K-means", unit=" rows") as bar:
            for _ in range(self.n_iter_):
                # In another order each time, as files are often sorted.
                for i in random_state.permutation(len(batches)):
                    batch = rows[batches[i]].astype(np.float32, copy=False)
                    kmeans.partial_fit(batch)
                    bar.update(len(batch))
        self.cluster_centers_ = kmeans.cluster_centers_
        self.labels_ = self._assign(rows, None).astype(np.int32)

    def _unit_rows(self, embeddings: np.ndarray, abundance: np.ndarray | None) -> UnitRows:
        if abundance is None:
            return UnitRows(embeddings)
        scale = self._abundance_scale
        weight = abundance_share(self.abundance_weight, len(scale.means))
        return UnitRows(embeddings, abundance, scale, weight)

    def _fit_bins(self, embeddings: np.ndarray, share: float, lengths: Any) -> None:
        sizes = Sizes.of(len(embeddings), self.min_bin_size, self.min_bin_bases, lengths)
        method = self.method
        if method == "auto":
            method = "graph" if self.min_similarity is None else "kmedoid"
        if method == "kmedoid":
            self._fit_medoids(embeddings, sizes)
            return
        random_state = check_random_state(self.random_state)
        if method == "graph":
            self.labels_ = graph_bins(
                embeddings,
                sizes,
                n_neighbors=self.n_neighbors,
                neighbors=self.neighbors,
                resolution=self.resolution,
                share=share,
                random_state=random_state,
            )
        else:
            self.labels_ = hdbscan_bins(embeddings, sizes, random_state=random_state)
        self.cluster_centers_, self.bin_limits_ = centers_and_limits(embeddings, self.labels_)
        self.n_iter_ = 1

    def _fit_medoids(self, embeddings: np.ndarray, sizes: Sizes) -> None:
        if self.min_similarity is None:
            raise ValueError(
                'method="kmedoid" needs min_similarity, from 0 to 1, got None: '
                "dnaembed.metrics.min_similarity_from_labels finds one from labelled sequences."
            )
        self.min_similarity_ = float(self.min_similarity)
        bins = modified_kmedoid(
            embeddings, self.min_similarity_, min_bin_size=1, max_iter=self.max_iter
        )
        large = sizes.are_large(bins.labels)
        names = np.append(np.where(large, np.cumsum(large) - 1, -1), -1)  # by density still
        self.labels_ = names[bins.labels]
        self.cluster_centers_ = bins.centers[large]
        self.n_iter_ = bins.n_rounds

    def predict(self, X: Any, abundance: Any = None) -> np.ndarray:
        """Assign reads to the clusters found by `fit`.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.
        abundance : array-like of shape (n_samples, n_profiles), default=None
            Abundances in the samples of `fit`, if it was given any; frames in any order of columns.

        Returns
        -------
        ndarray of shape (n_samples,), int
            With `n_clusters`, the cluster with the nearest centre. Without, the bin to whose reads
            a read is most similar on average, or -1 if that is less than `min_similarity_` (for
            the graph and HDBSCAN: than its limit in `bin_limits_`).
            A read of the training data may fit a denser bin better than the one it was given.
        """
        check_is_fitted(self)
        embeddings = self._check_inputs(X)
        abundance = check_same_samples(abundance, len(embeddings), self)
        rows = self._unit_rows(embeddings, abundance)
        limits = getattr(self, "bin_limits_", None)
        if hasattr(self, "min_similarity_"):
            limits = np.full(len(self.cluster_centers_), self.min_similarity_)
        return self._assign(rows, limits)

    def _assign(self, rows: UnitRows, limits: np.ndarray | None) -> np.ndarray:
        """Give each row its nearest centre; with limits, -1 where it is less similar than that."""
        centers = self.cluster_centers_
        labels = np.empty(len(rows), dtype=np.intp)
        row_bytes = max(rows.row_bytes, len(centers) * centers.itemsize)
        with progress(total=len(rows), description="Assigning", unit=" rows") as bar:
            for block in row_blocks(len(rows), row_bytes):
                part = rows[block]
                if limits is None:
                    labels[block] = pairwise_distances_argmin(part, centers)
                else:
                    labels[block] = nearest_bin(part, centers, limits)
                bar.update(len(part))
        return labels
