"""`SpeciesClusterer`: clusters of a known number, or bins of an unknown one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..utils._progress import progress
from ._abundance import AbundanceScale, check_abundance, fit_abundance_scale
from ._graph import centers_and_limits, graph_bins, hdbscan_bins
from ._inputs import SequencesOrEmbeddingsMixin
from ._kmedoid import modified_kmedoid, row_blocks
from ._large_kmeans import LARGE_ROWS, large_kmeans
from ._min_similarity import estimate_min_similarity, neighbor_similarity
from ._unit_rows import UnitRows


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
        How bins are found. ``"graph"``: the Leiden algorithm on a graph of nearest neighbours;
        needs scikit-network. ``"kmedoid"``: the modified K-medoid of the DNABERT-S paper.
        ``"hdbscan"``: dense regions. ``"auto"``: ``"kmedoid"`` if `min_similarity` is given,
        else ``"graph"``, which found the most species. Only without `n_clusters`.

    min_similarity : float, "auto" or "neighbors", default="auto"
        Cosine similarity, from 0 to 1, that the reads of a bin have on average: higher gives
        smaller, purer bins and more reads without one. ``"auto"`` and ``"neighbors"`` estimate it
        from the embeddings alone, by how distinct the bins are or by how near the neighbours of a
        read are; `dnaembed.metrics.min_similarity_from_labels` takes it from labelled reads of the
        same kind, as the paper does. Only for the K-medoid.

    n_neighbors : int, default=15
        Neighbours that a read is linked to; only for the graph.

    neighbors : {"auto", "exact", "approximate"}, default="auto"
        How neighbours are found; only for the graph. ``"exact"``: all pairs are compared, a block
        at a time, in a time that grows with the square of the number of reads. ``"approximate"``:
        nearest-neighbour descent, which needs pynndescent. ``"auto"``: exact up to 200,000 reads,
        and above where pynndescent is not installed.

    resolution : float or "auto", default="auto"
        Larger gives more and smaller bins; only for the graph. ``"auto"``: a unit for every 500
        reads, at least 1, halved while the bins do not stand out from each other, and at last a
        single bin. Lower it if species have many hundreds of reads each.

    abundance_weight : float, default=0.5
        From 0 to 1: what abundances count if `fit` is given any, the embedding counting the rest.

    min_bin_size : int, default=10
        Smaller bins are given up: their reads have label -1. Only without `n_clusters`.

    init : {"k-means++", "random"}, default="k-means++"
        First centres of K-means. The paper has ``"random"``.

    n_init : int, default=10
        Starts of K-means, of which the best is kept. The paper has 3.

    max_iter : int, default=1000
        Most iterations of a start of K-means; most bins tried by the K-medoid. Reads that are left
        then have label -1.

    tol : float, default=1e-4
        Movement of the centres, relative to the variance of the data, at which K-means stops; with
        more than 100,000 reads, the share by which the squared distances still fall.

    random_state : int, RandomState instance or None, default=None
        First centres of K-means, and the reads that it starts on if there are many; the order in
        which the graph is searched, and its approximate neighbours; which 2,000 reads of more
        ``min_similarity="auto"`` looks at. An int makes results reproducible.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Cluster of each read, from 0. Bins are numbered from the densest (K-medoid) or the largest;
        -1 is no bin.

    cluster_centers_ : ndarray of shape (`n_clusters_`, n_features)
        Means of the clusters' embeddings of unit length; with abundances, of these joined with
        two columns a sample.

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
    moves the mean, and goes on with the reads that are left. Similarities are computed in blocks:
    memory grows with the number of reads, not with its square.

    ``min_similarity="auto"`` bins (at most 2,000 of) the reads at 32 thresholds, and takes the one
    that gives the most distinct bins: the sum over bins of how much more similar their reads are
    to each other than to the nearest other bin, times the share of reads that have a bin.
    ``"neighbors"`` takes what 70 % of the reads have as similarity to the last of their
    ``min_bin_size - 1`` nearest neighbours: more and smaller bins, and more reads without one.

    The graph [2]_ links each read to its nearest neighbours; a link weighs as much as the two
    reads share neighbours (Jaccard index). Reads that are far less similar to the centre of their
    bin than the others (see ``bin_limits_``) are left out of it. HDBSCAN works on the first 20
    principal components.

    Sizes. No method holds similarities of all pairs of reads. K-means reads embeddings a block at a
    time above 100,000 reads, so that they may be memory-mapped (``np.load(path, mmap_mode="r")``):
    it makes its `n_init` starts on 50,000 of them (or 30 a cluster), and goes on from the best with
    all of them, in a time that grows with their number. The others hold one copy of the embeddings.
    The graph and the K-medoid compare all pairs: four times the time for twice the reads, minutes
    for 100,000; with approximate neighbours the graph takes millions. HDBSCAN compares all pairs
    outside matrix products: it is for up to some 50,000 reads. `predict` works in blocks, and is
    linear.

    Abundances, usually mean coverages of contigs, are taken as logarithms, sample by sample, and
    become angles from 0 (the lowest) to 90 degrees (the highest); the similarity of two contigs is
    the mean cosine of the differences. It is joined with that of the embeddings as
    ``(1 - abundance_weight) * embedding + abundance_weight * abundance``.

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
    >>> binner = SpeciesClusterer(min_similarity=0.9).fit(contigs, abundance=coverage)
    >>> binner.n_clusters_
    2
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "embedder": [HasMethods(["fit", "transform"]), None],
        "method": [StrOptions({"auto", "graph", "kmedoid", "hdbscan"})],
        "min_similarity": [
            StrOptions({"auto", "neighbors"}),
            Interval(Real, 0, 1, closed="both"),
        ],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "neighbors": [StrOptions({"auto", "exact", "approximate"})],
        "resolution": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "abundance_weight": [Interval(Real, 0, 1, closed="both")],
        "min_bin_size": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int | None = None,
        *,
        embedder: Any = None,
        method: str = "auto",
        min_similarity: float | str = "auto",
        n_neighbors: int = 15,
        neighbors: str = "auto",
        resolution: float | str = "auto",
        abundance_weight: float = 0.5,
        min_bin_size: int = 10,
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
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    # The embedder checks its own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, abundance: Any = None) -> Self:
        """Find clusters or bins.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences, or embeddings.
        y : None
            Ignored.
        abundance : array-like of shape (n_samples, n_metagenomes), default=None
            How abundant each read or contig is in each of a number of sequenced samples, such as
            its mean coverage there; at least 0. Joined with the embedding.

        Returns
        -------
        self : object
            The fitted clusterer.
        """
        embeddings = self._fit_inputs(X)
        for name in ("min_similarity_", "bin_limits_", "_abundance_scale"):
            if hasattr(self, name):
                delattr(self, name)  # of an earlier fit
        if abundance is not None:
            abundance = check_abundance(abundance, n_samples=len(embeddings))
            self._abundance_scale = fit_abundance_scale(abundance)
        rows = self._unit_rows(embeddings, abundance)
        if self.n_clusters is None:
            self._fit_bins(rows[:])
        elif len(rows) > LARGE_ROWS:
            self._fit_many(rows, self.n_clusters)
        else:
            self._fit_clusters(rows[:])
        self.n_clusters_ = len(self.cluster_centers_)
        return self

    def _fit_clusters(self, embeddings: np.ndarray) -> None:
        kmeans = KMeans(
            self.n_clusters,
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
        ).fit(embeddings)
        self.labels_ = kmeans.labels_
        self.cluster_centers_ = kmeans.cluster_centers_
        self.n_iter_ = kmeans.n_iter_

    def _fit_many(self, rows: UnitRows, n_clusters: int) -> None:
        self.labels_, self.cluster_centers_, self.n_iter_ = large_kmeans(
            rows,
            n_clusters,
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=check_random_state(self.random_state),
        )

    _abundance_scale: AbundanceScale

    def _unit_rows(self, embeddings: np.ndarray, abundance: np.ndarray | None) -> UnitRows:
        if abundance is None:
            return UnitRows(embeddings)
        return UnitRows(embeddings, abundance, self._abundance_scale, float(self.abundance_weight))

    def _fit_bins(self, embeddings: np.ndarray) -> None:
        method = self.method
        if method == "auto":
            method = "graph" if self.min_similarity == "auto" else "kmedoid"
        if method == "kmedoid":
            self._fit_medoids(embeddings)
            return
        random_state = check_random_state(self.random_state)
        if method == "graph":
            self.labels_ = graph_bins(
                embeddings,
                n_neighbors=self.n_neighbors,
                neighbors=self.neighbors,
                resolution=self.resolution,
                min_bin_size=self.min_bin_size,
                random_state=random_state,
            )
        else:
            self.labels_ = hdbscan_bins(
                embeddings,
                min_bin_size=self.min_bin_size,
                seed=int(random_state.randint(2**31 - 1)),
            )
        self.cluster_centers_, self.bin_limits_ = centers_and_limits(embeddings, self.labels_)
        self.n_iter_ = 1

    def _fit_medoids(self, embeddings: np.ndarray) -> None:
        if isinstance(self.min_similarity, str):
            estimate = (
                estimate_min_similarity if self.min_similarity == "auto" else neighbor_similarity
            )
            self.min_similarity_ = estimate(
                embeddings,
                min_bin_size=self.min_bin_size,
                random_state=check_random_state(self.random_state),
            )
        else:
            self.min_similarity_ = float(self.min_similarity)
        bins = modified_kmedoid(
            embeddings,
            self.min_similarity_,
            min_bin_size=self.min_bin_size,
            max_iter=self.max_iter,
        )
        self.labels_ = bins.labels
        self.cluster_centers_ = bins.centers
        self.n_iter_ = bins.n_rounds

    def predict(self, X: Any, abundance: Any = None) -> np.ndarray:
        """Assign reads to the clusters found by `fit`.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.
        abundance : array-like of shape (n_samples, n_metagenomes), default=None
            Abundances in the samples that `fit` was given, if it was given any.

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
        if hasattr(self, "_abundance_scale") != (abundance is not None):
            has, got = ("with", "none") if abundance is None else ("without", "some")
            raise ValueError(
                f"This {type(self).__name__} was fitted {has} abundance, got {got} to predict with."
            )
        if abundance is not None:
            abundance = check_abundance(abundance, n_samples=len(embeddings))
            n_metagenomes = len(self._abundance_scale.means)
            if abundance.shape[1] != n_metagenomes:
                raise ValueError(
                    f"abundance has {abundance.shape[1]} columns, but {type(self).__name__} was "
                    f"fitted with {n_metagenomes}."
                )
        rows = self._unit_rows(embeddings, abundance)
        centers = self.cluster_centers_
        if hasattr(self, "bin_limits_"):
            limits = self.bin_limits_
        elif hasattr(self, "min_similarity_"):
            limits = np.full(len(centers), self.min_similarity_)
        else:
            limits = None
        labels = np.empty(len(rows), dtype=np.intp)
        row_bytes = max(rows.row_bytes, len(centers) * centers.itemsize)
        with progress(total=len(rows), description="Assigning", unit=" rows") as bar:
            for block in row_blocks(len(rows), row_bytes):
                part = rows[block]
                if limits is None:
                    labels[block] = pairwise_distances_argmin(part, centers)
                else:
                    labels[block] = _nearest_bin(part, centers, limits)
                bar.update(len(part))
        return labels


def _nearest_bin(rows: np.ndarray, centers: np.ndarray, limits: np.ndarray) -> np.ndarray:
    if not len(centers):
        return np.full(len(rows), -1)
    similarities = rows @ centers.T
    nearest = similarities.argmax(axis=1)
    similar = similarities[np.arange(len(nearest)), nearest] >= limits[nearest]
    return np.where(similar, nearest, -1)
