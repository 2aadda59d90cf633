"""`SpeciesClusterer`: clusters of a known number, or bins of an unknown one."""

import logging
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.pairwise import euclidean_distances, linear_kernel
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..utils._progress import progress
from ..utils._rows import row_blocks
from ._abundance import (
    AbundanceScale,
    UnitRows,
    abundance_share,
    check_abundance,
    check_same_samples,
    fit_abundance_scale,
    names_of_profiles,
)
from ._graph import Sizes, centers_and_limits, graph_bins
from ._inputs import SequencesOrEmbeddingsMixin
from ._kmedoid import modified_kmedoid

logger = logging.getLogger("dnaembed")

# Rows above which K-means reads them a batch at a time, so that they may stay on disk.
LARGE_ROWS = 100_000
# Rows in a batch, and rows that K-means starts on: per cluster, and at the least.
_BATCH_ROWS_PER_CLUSTER, _BATCH_ROWS = 20, 10_000
_START_ROWS_PER_CLUSTER, _START_ROWS = 30, 50_000
_START_ITERATIONS, _MAX_PASSES = 30, 5  # over all rows
# Of probabilities: with it, they say on the demo reads how many are in the right cluster.
_SHARPNESS = 8.0


class SpeciesClusterer(
    SequencesOrEmbeddingsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    BaseEstimator,
):
    """Group DNA reads or contigs by species, without labels.

    With `n_clusters`, this is K-means on embeddings of unit length. Without, it finds as many bins
    as there are; reads in no bin have -1. Takes DNA sequences, which it embeds, or embeddings.

    Parameters
    ----------
    n_clusters : int, default=None
        Number of clusters, for K-means; None to find bins.
    embedder : transformer, default=None
        Embeds sequences; a clone of it is fitted. None: `DNABertSEmbedder` with its defaults.
    method : {"auto", "graph", "kmedoid"}, default="auto"
        How bins are found. ``"graph"``: the Leiden algorithm [2]_ on a graph of nearest neighbours.
        ``"kmedoid"``: the modified K-medoid of the paper [1]_. ``"auto"``: that one if
        `min_similarity` is given, else the graph.
    min_similarity : float, default=None
        Least cosine similarity, from 0 to 1, of a read to the centre of its bin; for the K-medoid.
        `dnaembed.metrics.min_similarity_from_labels` takes it from labelled reads.
    n_neighbors, neighbors : int, and {"auto", "exact", "approximate"}, default=15 and "auto"
        Neighbours that the graph links a read to. ``"exact"`` compares all pairs, ``"approximate"``
        those of cells of rows that lie near, ``"auto"`` is exact up to 200,000 reads.
    resolution : float or "auto", default="auto"
        A larger one gives more and smaller bins of the graph. ``"auto"``: starts at the number of
        reads divided by 125 (500 with `abundance`), and halves it while bins do not stand out.
    abundance_weight : float or "auto", default="auto"
        Weight of abundances, if `fit` is given any, from 0 to 1; the embedding has the rest.
        "auto": 0.1 for one sample, 0.3 for three, 0.5 from ten on.
    min_bin_size : int or "auto", default="auto"
        Bins of fewer reads are discarded, unless they have `min_bin_bases`. "auto": 10, or a tenth
        of the reads if these are fewer than 100, but at least 2.
    min_bin_bases : int, default=200_000
        Bins of so many bases are kept, even of one contig. Needs sequences, or their lengths.
    init, n_init : {"k-means++", "random"}, and int, default="k-means++" and 10
        First centres of K-means, and its starts, of which the best is kept.
    max_iter : int, default=1000
        Most iterations of a start of K-means; most bins tried by the K-medoid.
    random_state : int, RandomState instance or None, default=None
        Of the starts of K-means, the search of the graph and approximate neighbours.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Cluster of each read; -1 is no bin. Bins come from the densest (K-medoid) or the largest.
    cluster_centers_ : ndarray of shape (`n_clusters_`, n_features)
        Means of embeddings of unit length, joined with 64 columns per sample of abundances.
    n_clusters_, min_similarity_ : int and float
        Number of clusters or bins, and the threshold in use; this only for the K-medoid.
    bin_limits_ : ndarray of shape (`n_clusters_`,)
        Least similarity to the centre of a bin: the lower quartile of its reads' similarities less
        three interquartile ranges; only for the graph.
    n_iter_ : int
        Iterations of K-means, or bins tried by the K-medoid; 1 for the graph.
    embedder_, abundance_names_ : transformer, and list of str
        The fitted embedder, if `fit` was given sequences, and the samples of a frame of abundances.
    n_features_in_, feature_names_in_ : int, and ndarray of shape (`n_features_in_`,)
        Columns of the embeddings that `fit` was given, and their names if all are strings.

    Notes
    -----
    The paper's clustering protocol is ``SpeciesClusterer(n_clusters, init="random", n_init=3,
    random_state=seed)`` for seeds 0 to 4.

    The modified K-medoid starts a bin at the read with the largest sum of similarities of at least
    `min_similarity`, three times takes in the reads at least that similar to the bin's mean and
    moves the mean, and continues with the reads that are left. The graph links reads by as much as
    they share nearest neighbours (Jaccard index), and leaves out reads far from the centre of their
    bin if it is large enough without them; up to 100 reads, it is a tree of average linkage. See
    :doc:`/guide/binning`.

    Embeddings may be memory-mapped: none holds similarities of all pairs, and K-means above 100,000
    reads is :class:`sklearn.cluster.MiniBatchKMeans`, started on 50,000 of them.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
       embeddings", Bioinformatics 41 (2025), i255. arXiv:2402.08777.
    .. [2] Traag, Waltman & van Eck, "From Louvain to Leiden: guaranteeing well-connected
       communities", Scientific Reports 9 (2019), 5233.

    Examples
    --------
    >>> from dnaembed import SpeciesClusterer
    >>> embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.2, 0.8]]
    >>> binner = SpeciesClusterer(min_similarity=0.8, min_bin_size=2).fit(embeddings)
    >>> binner.labels_
    array([1, 1, 0, 0, 0])
    >>> binner.predict([[1.0, 0.1], [-1.0, 0.0]])
    array([ 1, -1])
    """

    __module__ = "dnaembed"

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "embedder": [HasMethods(["fit", "transform"]), None],
        "method": [StrOptions({"auto", "graph", "kmedoid"})],
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
        "random_state": ["random_state"],
    }
    _abundance_scale: AbundanceScale

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
            its mean coverage there; at least 0. `predict` matches the columns of frames by name.
        lengths : array-like of shape (n_samples,), default=None
            Bases of each contig, for `min_bin_bases`; known if X holds sequences.
        """
        embeddings, known_lengths, _ = self._fit_inputs(X)
        lengths = known_lengths if lengths is None else lengths
        for name in ("min_similarity_", "bin_limits_", "_abundance_scale", "abundance_names_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        if abundance is not None:
            if names := names_of_profiles(abundance):
                self.abundance_names_ = names
            abundance = check_abundance(abundance, len(embeddings))
            self._abundance_scale = fit_abundance_scale(abundance, embeddings)
        rows = self._unit_rows(embeddings, abundance)
        how = ("n_clusters", "init", "n_init", "max_iter", "random_state")
        kmeans = KMeans(**{name: getattr(self, name) for name in how})
        if self.n_clusters is None:
            self._fit_bins(rows[:], rows.weight, lengths)
        elif len(rows) > LARGE_ROWS:
            self._fit_many(rows, kmeans)
        else:
            kmeans.fit(rows[:])
            self.labels_, self.n_iter_ = kmeans.labels_, kmeans.n_iter_
            self.cluster_centers_ = kmeans.cluster_centers_
        self.n_clusters_ = len(self.cluster_centers_)
        return self

    def _fit_many(self, rows: UnitRows, kmeans: KMeans) -> None:
        random_state, n_clusters = check_random_state(self.random_state), kmeans.n_clusters
        n_drawn = min(len(rows), max(_START_ROWS, _START_ROWS_PER_CLUSTER * n_clusters))
        drawn = np.sort(random_state.choice(len(rows), n_drawn, replace=False))
        kmeans.set_params(max_iter=min(self.max_iter, _START_ITERATIONS), random_state=random_state)
        kmeans.fit(rows[drawn].astype(np.float32, copy=False))
        start: Any = {"init": kmeans.cluster_centers_, "n_init": 1, "random_state": random_state}
        batched = MiniBatchKMeans(n_clusters, **start)
        size = max(_BATCH_ROWS, _BATCH_ROWS_PER_CLUSTER * n_clusters)
        batches = [slice(first, first + size) for first in range(0, len(rows), size)]
        self.n_iter_ = min(self.max_iter, _MAX_PASSES)
        with progress(total=self.n_iter_ * len(rows), description="K-means", unit=" rows") as bar:
            for _ in range(self.n_iter_):
                # In another order each time, as files are often sorted.
                for i in random_state.permutation(len(batches)):
                    batch = rows[batches[i]].astype(np.float32, copy=False)
                    batched.partial_fit(batch)
                    bar.update(len(batch))
        self.cluster_centers_ = batched.cluster_centers_
        self.labels_ = self._assign(rows, None).astype(np.int32)

    def _unit_rows(self, embeddings: np.ndarray, abundance: np.ndarray | None) -> UnitRows:
        if abundance is None:
            return UnitRows(embeddings)
        weight = abundance_share(self.abundance_weight, abundance.shape[1])
        return UnitRows(embeddings, abundance, self._abundance_scale, weight)

    def _fit_bins(self, embeddings: np.ndarray, share: float, lengths: Any) -> None:
        sizes = Sizes.of(len(embeddings), self.min_bin_size, self.min_bin_bases, lengths)
        if self.method == "graph" or (self.method == "auto" and self.min_similarity is None):
            self.labels_ = graph_bins(
                embeddings,
                sizes,
                n_neighbors=self.n_neighbors,
                neighbors=self.neighbors,
                resolution=self.resolution,
                share=share,
                random_state=check_random_state(self.random_state),
            )
            if self.resolution == "auto" and self.labels_.max() == 0:
                known = "if you know the number of species, give it (n_clusters; cluster -k)"
                logger.info("No bins stand out, and all rows are kept in one: %s.", known)
            self.cluster_centers_, self.bin_limits_ = centers_and_limits(embeddings, self.labels_)
            self.n_iter_ = 1
            return
        if self.min_similarity is None:
            needs = 'method="kmedoid" needs min_similarity, from 0 to 1, got None'
            finder = "dnaembed.metrics.min_similarity_from_labels"
            raise ValueError(f"{needs}: {finder} finds one from labelled sequences.")
        limit = self.min_similarity_ = float(self.min_similarity)
        bins = modified_kmedoid(embeddings, limit, min_bin_size=1, max_iter=self.max_iter)
        large = sizes.are_large(bins.labels)
        names = np.append(np.where(large, np.cumsum(large) - 1, -1), -1)  # by density still
        self.labels_, self.n_iter_ = names[bins.labels], bins.n_rounds
        self.cluster_centers_ = bins.centers[large]

    def predict(self, X: Any, abundance: Any = None) -> np.ndarray:
        """Assign reads to the clusters found by `fit`.

        Parameters
        ----------
        X, abundance : array-like
            Of the same kinds as in `fit`; frames of abundances in any order of columns.

        Returns
        -------
        ndarray of shape (n_samples,), int
            With `n_clusters`, the cluster with the nearest centre. Without, the bin to whose reads
            a read is most similar on average, or -1 if that is less than `min_similarity_` or its
            limit in `bin_limits_`: a training read may fit another bin better than its own.
        """
        rows = self._check_rows(X, abundance)
        limits = getattr(self, "bin_limits_", getattr(self, "min_similarity_", None))
        return self._assign(rows, limits)

    def transform(self, X: Any, abundance: Any = None) -> np.ndarray:
        """Give the distances of reads, given as to `predict`, to all `cluster_centers_`.

        They are Euclidean, of embeddings of unit length: shape (n_samples, `n_clusters_`).
        """
        return self._compare(X, abundance, euclidean_distances)

    def score_samples(self, X: Any, abundance: Any = None) -> np.ndarray:
        """Score how well reads, given as to `predict`, fit into the cluster that they fit best.

        It is the mean cosine similarity to the reads of that cluster, which `bin_limits_` and
        `min_similarity_` are limits of; -1 if there is no cluster.
        """
        return self._compare(X, abundance, linear_kernel).max(axis=1, initial=-1)

    def predict_proba(self, X: Any, abundance: Any = None) -> np.ndarray:
        r"""Share out reads, given as to `predict`, among the clusters.

        Returns
        -------
        ndarray of shape (n_samples, `n_clusters_`)
            Probabilities :math:`\propto \exp(\kappa s_j)`, with :math:`s_j` the mean similarity to
            the reads of cluster j, less :math:`|c_j|^2/2` if `n_clusters` is given, and
            :math:`\kappa = 8/(1 - \overline{|c|^2})` from how tight clusters are (a centre c of
            equal reads has length 1). The largest is of the cluster that `predict` names, or would
            name without limits.
        """
        similarities = self._compare(X, abundance, linear_kernel)
        if similarities.size:
            squares = (self.cluster_centers_**2).sum(axis=1)
            if self.n_clusters is not None:
                similarities -= squares / 2
            kappa = _SHARPNESS / max(1 - squares.mean(), 1e-6)
            similarities = softmax(kappa * similarities, axis=1)
        return similarities

    def _check_rows(self, X: Any, abundance: Any) -> UnitRows:
        check_is_fitted(self)
        embeddings = self._check_inputs(X).rows
        return self._unit_rows(embeddings, check_same_samples(abundance, len(embeddings), self))

    def _compare(self, X: Any, abundance: Any, how: Any) -> Any:
        """Compare reads with the centres, a block at a time."""
        rows, centers = self._check_rows(X, abundance), self.cluster_centers_
        found = np.empty((len(rows), len(centers)), rows.embeddings.dtype)
        row_bytes = rows[:1].nbytes + len(centers) * centers.itemsize
        for block in row_blocks(len(rows) if len(centers) else 0, row_bytes):
            found[block] = how(rows[block], centers)
        return found

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def _assign(self, rows: UnitRows, limits: Any) -> np.ndarray:
        """Give each row its nearest centre; with limits, -1 where it is less similar than that."""
        centers, labels = self.cluster_centers_, np.full(len(rows), -1)
        row_bytes = max(rows[:1].nbytes, len(centers) * centers.itemsize)
        with progress(total=len(rows), description="Assigning", unit=" rows") as bar:
            for block in row_blocks(len(rows), row_bytes):
                part = rows[block]
                if limits is None:
                    labels[block] = pairwise_distances_argmin(part, centers)
                elif len(centers):
                    similarities = part @ centers.T
                    nearest, most = similarities.argmax(axis=1), similarities.max(axis=1)
                    is_far = most < np.broadcast_to(limits, len(centers))[nearest]
                    labels[block] = np.where(is_far, -1, nearest)
                bar.update(len(part))
        return labels
