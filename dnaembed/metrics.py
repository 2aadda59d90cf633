"""How good bins, clusters and neighbourhoods are: the scores of the DNABERT-S paper, and others.

What scikit-learn has is not here: the paper's purity is `sklearn.metrics.homogeneity_score`, its
completeness `completeness_score`, its ARI `adjusted_rand_score` and its NMI
`normalized_mutual_info_score`; the benchmark's silhouette is `silhouette_score` in cosine distance.
"""

from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from .utils._rows import row_blocks, unit_length

__all__ = [
    "genome_recovery_scores",
    "min_similarity_from_labels",
    "retrieval_score",
    "species_f1_recall",
]

# Of genomes recovered, as AMBER has them.
_COMPLETENESS = (0.5, 0.7, 0.9)
_CONTAMINATION = (0.05, 0.1)


def min_similarity_from_labels(X: Any, y: Any, *, percentile: float = 70) -> float:
    """Choose the threshold of the modified K-medoid from labelled sequences.

    Parameters
    ----------
    X, y : array-like of shape (n_samples, n_features) and (n_samples,)
        Embeddings and species of sequences like those to be binned, but not the same.
    percentile : float, default=70
        Percentage of sequences whose mean cosine similarity to those of their species, themselves
        included, is under the threshold.

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
    X, y = unit_length(check_array(X, dtype=[np.float64, np.float32])), column_or_1d(y)
    check_consistent_length(X, y)
    species, codes = np.unique(y, return_inverse=True)
    centers = np.stack([X[codes == code].mean(axis=0) for code in range(len(species))])
    similarities = np.sort(np.einsum("ij,ij->i", X, centers[codes]))
    # As the authors: the value at that place in sorted order, not an interpolation.
    place = min(int(percentile / 100 * len(similarities)), len(similarities) - 1)
    return float(similarities[place])


def species_f1_recall(y_true: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Score the bin of each species.

    Without the sequences that have no bin, bins and species are matched one to one so that they
    share the most sequences.

    Parameters
    ----------
    y_true, labels : array-like of shape (n_samples,)
        Species, and bins (-1 for none).

    Returns
    -------
    tuple of two ndarray of shape (n_species,), float64
        F1 and recall of each of ``np.unique(y_true)``; 0 for a species without a bin.

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


def genome_recovery_scores(
    labels: np.ndarray, bins: np.ndarray, lengths: np.ndarray
) -> dict[str, float]:
    """Score bins in base pairs, as AMBER does (Meyer et al., GigaScience 7 (2018), giy069).

    A bin stands for the genome that most of its base pairs are of. Its completeness is the share
    of that genome's base pairs that it holds, its contamination the share of its own base pairs
    that are of other genomes.

    Parameters
    ----------
    labels, bins, lengths : ndarray of shape (n,)
        Genome (or species), bin (-1 for none) and base pairs of each sequence.

    Returns
    -------
    dict of str to float
        ``purity_bp`` and ``completeness_bp``: shares of the binned base pairs that are of the
        genome of their bin, and of all base pairs that are in the bin with most of their genome;
        ``mean_purity_bp`` and ``mean_completeness_bp``: means over the bins, with 0 for each
        genome that no bin stands for (CAMI 1); ``binned_bp``: share of the base pairs in bins;
        ``genomes>50%<10%`` and so on: number of bins of more than 50 (70, 90) % completeness and
        less than 10 (5) % contamination. Purities are nan without a bin.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.metrics import genome_recovery_scores
    >>> scores = genome_recovery_scores(np.array(["a", "b"]), np.array([0, -1]), np.array([6, 5]))
    >>> scores["purity_bp"], scores["genomes>90%<5%"]
    (1.0, 1.0)
    """
    check_consistent_length(labels, bins, lengths)
    lengths = np.asarray(lengths, dtype=np.float64)
    genomes, genome_of = np.unique(labels, return_inverse=True)
    genome_bp = np.bincount(genome_of, weights=lengths)
    binned = np.asarray(bins) != -1
    found, bin_of = np.unique(np.asarray(bins)[binned], return_inverse=True)
    shared = np.zeros((len(genomes), len(found)))
    np.add.at(shared, (genome_of[binned], bin_of), lengths[binned])
    stands_for = shared.argmax(axis=0)
    inside = shared.max(axis=0)
    purity = inside / shared.sum(axis=0)
    completeness = inside / genome_bp[stands_for]
    n_unfound = len(genomes) - len(np.unique(stands_for))
    scores = {
        "purity_bp": inside.sum() / shared.sum() if len(found) else np.nan,
        "completeness_bp": shared.max(axis=1, initial=0).sum() / genome_bp.sum(),
        "mean_purity_bp": purity.mean() if len(found) else np.nan,
        "mean_completeness_bp": completeness.sum() / (len(completeness) + n_unfound),
        "binned_bp": shared.sum() / genome_bp.sum(),
    }
    for most, least in product(_CONTAMINATION, _COMPLETENESS):
        good = (completeness > least) & (1 - purity < most)
        scores[f"genomes>{100 * least:.0f}%<{100 * most:.0f}%"] = good.sum()
    return {name: float(score) for name, score in scores.items()}


def retrieval_score(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    exclude: np.ndarray | None = None,
    max_queries: int | None = None,
    random_state: int | None = 0,
) -> float:
    """Ask of each sequence whether its nearest neighbour is of the same species.

    Parameters
    ----------
    embeddings, labels : ndarray of shape (n, d) and (n,)
        Rows, compared by cosine similarity, and species. The only sequence of one is not asked.
    exclude : ndarray of shape (n,), default=None
        Sequences with the same value are not neighbours. With genera as `labels` and species here:
        does a sequence of an unknown species find its genus?
    max_queries, random_state : int or None, default=None, 0
        Ask at most this many sequences, drawn with this seed.

    Returns
    -------
    float
        Share of the sequences asked; nan if none can be asked.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.metrics import retrieval_score
    >>> rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]])
    >>> retrieval_score(rows, np.array(["a", "a", "b", "a"]))
    0.6666666666666666
    """
    rows = unit_length(embeddings)
    _, codes = np.unique(labels, return_inverse=True)
    _, apart = np.unique(np.arange(len(rows)) if exclude is None else exclude, return_inverse=True)
    both = codes * (apart.max() + 1) + apart
    # Company: sequences of the label that are not excluded.
    company = np.bincount(codes)[codes] - np.bincount(both)[both]
    queries = np.flatnonzero(company > 0)
    if max_queries is not None and len(queries) > max_queries:
        chosen = np.random.default_rng(random_state).choice(queries, max_queries, replace=False)
        queries = np.sort(chosen)
    if not len(queries):
        return float("nan")
    correct = 0
    for block in row_blocks(len(queries), len(rows) * rows.itemsize):
        asked = queries[block]
        similarities = rows[asked] @ rows.T
        similarities[apart[asked][:, np.newaxis] == apart] = -np.inf
        correct += int((codes[similarities.argmax(axis=1)] == codes[asked]).sum())
    return correct / len(queries)
