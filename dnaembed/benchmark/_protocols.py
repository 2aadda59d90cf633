"""The evaluation protocols of the DNABERT-S paper, as functions on embeddings and labels.

Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA embeddings",
Bioinformatics 41 (2025), i255, and the authors' evaluation code.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    f1_score,
    homogeneity_score,
    normalized_mutual_info_score,
)
from sklearn.preprocessing import StandardScaler

from ..metrics import count_above, species_f1_recall
from ..species._kmedoid import modified_kmedoid
from ..utils._rows import unit_length

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def clustering_scores(
    embeddings: np.ndarray, labels: np.ndarray, *, n_repeats: int = 5, first_seed: int = 0
) -> dict[str, float]:
    """Score K-means clusters of the embeddings against the species.

    Rows are scaled to unit length; K-means knows the true number of species and starts from random
    rows, three times, with seeds 0, 1, ...; the scores are means over the seeds.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence.
    labels : ndarray of shape (n,)
        Species of each.
    n_repeats : int, default=5
        Number of seeds.
    first_seed : int, default=0
        The first of them.

    Returns
    -------
    dict of str to float
        ``ari`` (adjusted Rand index), ``purity`` (homogeneity), ``completeness`` and ``nmi``.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import clustering_scores
    >>> clustering_scores(np.repeat(np.eye(3), 5, axis=0), np.repeat([0, 1, 2], 5))["purity"]
    1.0
    """
    rows = unit_length(embeddings)
    n_species = len(np.unique(labels))
    scores = []
    for seed in range(first_seed, first_seed + n_repeats):
        kmeans = KMeans(n_species, init="random", n_init=3, max_iter=1000, random_state=seed)
        found = kmeans.fit_predict(rows)
        scores.append(
            (
                adjusted_rand_score(labels, found),
                homogeneity_score(labels, found),
                completeness_score(labels, found),
                normalized_mutual_info_score(labels, found),
            )
        )
    names = ("ari", "purity", "completeness", "nmi")
    return dict(zip(names, np.mean(scores, axis=0).tolist(), strict=True))


def few_shot_scores(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    shots: Sequence[int] = (1, 2, 5, 10, 20),
    n_test: int = 80,
    n_repeats: int = 5,
    first_seed: int = 0,
    allow_fewer: bool = False,
) -> dict[int, float]:
    """Score a classifier that learns from few labelled sequences a species.

    Columns are standardised over all sequences. For each seed the sequences are permuted; the
    first ones of each species are for learning (logistic regression, C=0.5), the last ones for
    testing.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence.
    labels : ndarray of shape (n,)
        Species of each.
    shots : sequence of int, default=(1, 2, 5, 10, 20)
        Numbers of labelled sequences a species.
    n_test : int, default=80
        Test sequences a species.
    n_repeats : int, default=5
        Number of seeds.
    first_seed : int, default=0
        The first of them.
    allow_fewer : bool, default=False
        What happens if a species has fewer than the most shots and `n_test` sequences together.
        False: an error. True: numbers of shots over half of the smallest species are left out, and
        such a species is tested on what it has besides the largest remaining number of shots.

    Returns
    -------
    dict of int to float
        Macro F1 at each number of shots, mean over the seeds.

    Raises
    ------
    ValueError
        If a species has too few sequences to keep learning and test apart.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import few_shot_scores
    >>> rows, labels = np.repeat(np.eye(3), 5, axis=0), np.repeat([0, 1, 2], 5)
    >>> few_shot_scores(rows, labels, shots=[1, 2], n_test=3)
    {1: 1.0, 2: 1.0}
    """
    species, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if allow_fewer:
        shots = [n_shots for n_shots in shots if 2 * n_shots <= counts.min()]
        if not shots:
            return {}
    elif counts.min() < max(shots) + n_test:
        raise ValueError(
            f"{max(shots)} shots and {n_test} test sequences need {max(shots) + n_test} a "
            f"species; {species[counts.argmin()]!s} has {counts.min()}."
        )
    # Single precision is too coarse for the solver to converge on.
    rows = StandardScaler().fit_transform(np.asarray(embeddings, dtype=np.float64))
    scores = np.zeros((n_repeats, len(shots)))
    for repeat in range(n_repeats):
        order = np.random.default_rng(first_seed + repeat).permutation(len(rows))
        members = [order[codes[order] == code] for code in range(len(species))]
        test = np.concatenate([m[max(max(shots), len(m) - n_test) :] for m in members])
        for column, n_shots in enumerate(shots):
            train = np.concatenate([m[:n_shots] for m in members])
            classifier = LogisticRegression(C=0.5, max_iter=3000)
            with warnings.catch_warnings():
                # A single sequence a species is what one shot means.
                warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
                classifier.fit(rows[train], codes[train])
            calls = classifier.predict(rows[test])
            scores[repeat, column] = f1_score(codes[test], calls, average="macro")
    return dict(zip(shots, scores.mean(axis=0).tolist(), strict=True))


def binning_scores(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    min_similarity: float,
    min_bin_size: int = 10,
    max_iter: int = 1000,
) -> dict[str, dict[float, int]]:
    """Count the species that the modified K-medoid finds.

    Bins and species are matched one to one so that they share the most sequences (Hungarian
    alignment); sequences in no bin are left out before.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence.
    labels : ndarray of shape (n,)
        Species of each.
    min_similarity : float
        From `dnaembed.metrics.min_similarity_from_labels`, on other sequences: the paper takes
        those of ``clustering_0.tsv`` of the same domain.
    min_bin_size : int, default=10
        Smaller bins are given up.
    max_iter : int, default=1000
        Most bins tried.

    Returns
    -------
    dict of str to dict of float to int
        ``f1`` and ``recall``: for each threshold 0.1, 0.2, ... 0.9 the number of species above it.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import binning_scores
    >>> rows, labels = np.repeat(np.eye(3), 20, axis=0), np.repeat(["a", "b", "c"], 20)
    >>> binning_scores(rows, labels, min_similarity=0.9)["f1"][0.9]
    3
    """
    found = modified_kmedoid(
        unit_length(embeddings), min_similarity, min_bin_size=min_bin_size, max_iter=max_iter
    ).labels
    f1, recall = species_f1_recall(labels, found)
    return {
        name: dict(zip(_THRESHOLDS, count_above(scores, _THRESHOLDS).tolist(), strict=True))
        for name, scores in (("f1", f1), ("recall", recall))
    }
