"""`SpeciesClusterer`: clusters of a known number, or bins of an unknown one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._inputs import SequencesOrEmbeddingsMixin
from ._kmedoid import modified_kmedoid, row_blocks
from ._min_similarity import estimate_min_similarity


class SpeciesClusterer(SequencesOrEmbeddingsMixin, ClusterMixin, BaseEstimator):
    """Group DNA reads or contigs by species, without labels.

    With `n_clusters`, K-means on embeddings of unit length, where each read belongs to a cluster.
    Without, the modified K-medoid of the DNABERT-S paper, which finds the number of bins itself
    and leaves out reads that fit in none.

    Takes DNA sequences, which it embeds, or embeddings made beforehand.

    Parameters
    ----------
    n_clusters : int, default=None
        Number of clusters, for K-means; None to bin by similarity.

    embedder : transformer, default=None
        Embeds sequences; a clone of it is fitted. None stands for `DNABertSEmbedder` with its
        default parameters. Not used if `fit` is given embeddings.

    min_similarity : float or "auto", default="auto"
        Cosine similarity, from 0 to 1, that the reads of a bin have on average: higher gives
        smaller, purer bins and more reads without one. ``"auto"`` estimates it from the embeddings
        alone; `dnaembed.metrics.min_similarity_from_labels` takes it from labelled reads of the
        same kind, as the paper does. Only without `n_clusters`.

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
        Movement of the centres, relative to the variance of the data, at which K-means stops.

    random_state : int, RandomState instance or None, default=None
        First centres of K-means; which 2,000 reads of more ``min_similarity="auto"`` looks at. An
        int makes results reproducible.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Cluster of each read, from 0. Bins are numbered from the densest; -1 is no bin.

    cluster_centers_ : ndarray of shape (`n_clusters_`, n_features)
        Means of the clusters' embeddings of unit length.

    n_clusters_ : int
        Number of clusters or bins.

    min_similarity_ : float
        Threshold in use; only without `n_clusters`.

    n_iter_ : int
        Iterations of K-means, or bins tried by the K-medoid.

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

    ``"auto"`` bins (at most 2,000 of) the reads at 32 thresholds, and takes the one that gives the
    most distinct bins: the sum over bins of how much more similar their reads are to each other
    than to the nearest other bin, times the share of reads that have a bin.

    References
    ----------
    .. [1] Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA
       embeddings", Bioinformatics 41 (2025), i255. arXiv:2402.08777.

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
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "embedder": [HasMethods(["fit", "transform"]), None],
        "min_similarity": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
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
        min_similarity: float | str = "auto",
        min_bin_size: int = 10,
        init: str = "k-means++",
        n_init: int = 10,
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.embedder = embedder
        self.min_similarity = min_similarity
        self.min_bin_size = min_bin_size
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    # The embedder checks its own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find clusters or bins.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences, or embeddings.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted clusterer.
        """
        embeddings = normalize(self._fit_inputs(X))
        if self.n_clusters is None:
            self._fit_bins(embeddings)
        else:
            self._fit_clusters(embeddings)
        self.n_clusters_ = len(self.cluster_centers_)
        return self

    def _fit_clusters(self, embeddings: np.ndarray) -> None:
        if hasattr(self, "min_similarity_"):
            del self.min_similarity_  # of an earlier fit
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

    def _fit_bins(self, embeddings: np.ndarray) -> None:
        if self.min_similarity == "auto":
            self.min_similarity_ = estimate_min_similarity(
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

    def predict(self, X: Any) -> np.ndarray:
        """Assign reads to the clusters found by `fit`.

        Parameters
        ----------
        X : iterable of str of length n_samples, or array-like of shape (n_samples, n_features)
            DNA sequences or embeddings: the same kind as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), int
            With `n_clusters`, the cluster with the nearest centre. Without, the bin to whose reads
            a read is most similar on average, or -1 if that is less than `min_similarity_`.
            A read of the training data may fit a denser bin better than the one it was given.
        """
        check_is_fitted(self)
        embeddings = normalize(self._check_inputs(X))
        if hasattr(self, "min_similarity_"):
            return _nearest_bin(embeddings, self.cluster_centers_, self.min_similarity_)
        return pairwise_distances_argmin(embeddings, self.cluster_centers_)


def _nearest_bin(embeddings: np.ndarray, centers: np.ndarray, min_similarity: float) -> np.ndarray:
    labels = np.full(len(embeddings), -1)
    if not len(centers):
        return labels
    for block in row_blocks(len(embeddings), len(centers) * embeddings.itemsize):
        similarities = embeddings[block] @ centers.T
        nearest = similarities.argmax(axis=1)
        similar = similarities[np.arange(len(nearest)), nearest] >= min_similarity
        labels[block] = np.where(similar, nearest, -1)
    return labels
