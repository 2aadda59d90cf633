"""The evaluation protocols of the DNABERT-S paper, as functions on embeddings and labels.

Zhou et al., "DNABERT-S: pioneering species differentiation with species-aware DNA embeddings",
Bioinformatics 41 (2025), i255, and the authors' evaluation code.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    f1_score,
    homogeneity_score,
    normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from ..metrics import (
    genome_recovery_scores,
    min_similarity_from_labels,
    retrieval_score,
    species_f1_recall,
)
from ..species._kmedoid import modified_kmedoid
from ..utils._rows import unit_length

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_LEAST_BIN = 2
_MOST_QUERIES = 2000
# Rows of a species that are all alike are exactly as similar as the threshold.
_ROUNDING = 1e-6
_CLUSTER_SCORES = {
    "ari": adjusted_rand_score,
    "purity": homogeneity_score,
    "completeness": completeness_score,
    "nmi": normalized_mutual_info_score,
}


def clustering_scores(
    embeddings: np.ndarray, labels: np.ndarray, *, n_repeats: int = 5, first_seed: int = 0
) -> dict[str, float]:
    """Score K-means clusters of the embeddings against the species.

    Rows are scaled to unit length. K-means is given the number of species and starts three times
    from random rows.

    Parameters
    ----------
    embeddings, labels : ndarray of shape (n, d) and (n,)
        One row per sequence, and its species.
    n_repeats, first_seed : int, default=5 and 0
        Number of seeds, of which the scores are means, and the first of them.

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
    kmeans = KMeans(len(np.unique(labels)), init="random", n_init=3, max_iter=1000)
    seeds = range(first_seed, first_seed + n_repeats)
    found = [kmeans.set_params(random_state=seed).fit_predict(rows) for seed in seeds]
    of = {name: [score(labels, one) for one in found] for name, score in _CLUSTER_SCORES.items()}
    return {name: float(np.mean(values)) for name, values in of.items()}


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
    """Score a classifier that learns from few labelled sequences per species.

    Columns are standardised. For each seed the sequences are permuted: logistic regression learns
    from the first of each species and is tested on the last.

    Parameters
    ----------
    embeddings, labels : ndarray of shape (n, d) and (n,)
        One row per sequence, and its species.
    shots : sequence of int, default=(1, 2, 5, 10, 20)
        Numbers of labelled sequences per species.
    n_test : int, default=80
        Test sequences per species; ValueError if a species has too few besides the shots.
    n_repeats, first_seed : int, default=5 and 0
        Number of seeds, of which the scores are means, and the first of them.
    allow_fewer : bool, default=False
        Leave out numbers of shots over half of the smallest species, and test a species on what it
        has besides the most shots, instead of raising an error.

    Returns
    -------
    dict of int to float
        Macro F1 at each number of shots, mean over the seeds.

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
    elif counts.min() < (needed := max(shots) + n_test):
        what = f"{max(shots)} shots and {n_test} test sequences need {needed} per species"
        raise ValueError(f"{what}; {species[counts.argmin()]!s} has {counts.min()}.")
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
                # One shot means a single sequence per species.
                warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
                classifier.fit(rows[train], codes[train])
            calls = classifier.predict(rows[test])
            scores[repeat, column] = f1_score(codes[test], calls, average="macro")
    return dict(zip(shots, scores.mean(axis=0).tolist(), strict=True))


def binning_scores(
    embeddings: np.ndarray, labels: np.ndarray, *, min_similarity: float, min_bin_size: int = 10
) -> dict[str, dict[float, int]]:
    """Count the species that the modified K-medoid finds.

    Bins and species are matched one to one so that they share the most sequences (Hungarian
    alignment); sequences in no bin are left out before.

    Parameters
    ----------
    embeddings, labels : ndarray of shape (n, d) and (n,)
        One row per sequence, and its species.
    min_similarity : float
        From `dnaembed.metrics.min_similarity_from_labels`, on other sequences: the paper takes
        those of ``clustering_0.tsv`` of the same domain.
    min_bin_size : int, default=10
        Smaller bins are dissolved.

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
    how = {"min_bin_size": min_bin_size, "max_iter": 1000}
    found = modified_kmedoid(unit_length(embeddings), min_similarity, **how).labels
    return {
        name: {limit: int((scores > limit).sum()) for limit in _THRESHOLDS}
        for name, scores in zip(("f1", "recall"), species_f1_recall(labels, found), strict=True)
    }


@dataclass(frozen=True)
class Options:
    """What a protocol can be asked; see `dnaembed.benchmark.benchmark`."""

    n_repeats: int = 1
    shots: tuple[int, ...] = (1, 2, 5, 10, 20)

    def seeds(self, draw: int) -> dict[str, int]:
        """Return the seeds for a draw of a set, which no other draw has."""
        return {"n_repeats": self.n_repeats, "first_seed": draw * self.n_repeats}


def _clustering(rows: np.ndarray, reads: Bunch, seed: int, options: Options) -> dict:
    return clustering_scores(rows, reads.labels, **options.seeds(seed))


def _few_shot(rows: np.ndarray, reads: Bunch, seed: int, options: Options) -> dict:
    seeds, shots = options.seeds(seed), options.shots
    scores = few_shot_scores(rows, reads.labels, shots=shots, allow_fewer=True, **seeds)
    return {f"f1@{n_shots}": value for n_shots, value in scores.items()}


def _binning(rows: np.ndarray, reads: Bunch, seed: int, options: Options) -> dict:
    """Bin half of the species with the threshold of the other half, and the other way round."""
    rows = unit_length(rows)
    species, codes, counts = np.unique(reads.labels, return_inverse=True, return_counts=True)
    # The paper's 10, or less where species are small.
    min_bin_size = int(np.clip(np.median(counts) // 3, _LEAST_BIN, 10))
    order = np.random.default_rng(seed).permutation(len(species))
    in_first = np.isin(codes, order[: len(species) // 2])
    bins = np.full(len(rows), -1)
    matched = []
    for here in (in_first, ~in_first):
        threshold = min_similarity_from_labels(rows[~here], codes[~here], percentile=70)
        least = float(np.clip(threshold - _ROUNDING, 0, 1))
        how = {"min_bin_size": min_bin_size, "max_iter": len(rows)}
        found = modified_kmedoid(rows[here], least, **how).labels
        matched.append(species_f1_recall(codes[here], found))
        bins[here] = np.where(found >= 0, found + bins.max() + 1, -1)
    scores: dict[str, float] = {}
    for name, values in zip(("f1", "recall"), zip(*matched, strict=True), strict=True):
        above = np.concatenate(values)
        scores |= {f"{name}>{limit}": float((above > limit).sum()) for limit in _THRESHOLDS}
    lengths = np.array([len(sequence) for sequence in reads.sequences])
    scores |= genome_recovery_scores(reads.labels, bins, lengths)
    return scores | {"binned": float((bins >= 0).mean())}


def _retrieval(rows: np.ndarray, reads: Bunch, seed: int, options: Options) -> dict:
    species = retrieval_score(rows, reads.labels, max_queries=_MOST_QUERIES, random_state=seed)
    unit, silhouette = unit_length(np.asarray(rows, np.float64)), np.nan
    if len(set(reads.labels)) < len(unit):
        silhouette = float(silhouette_score(unit, reads.labels, metric="cosine"))
    return {"species": species, "silhouette": silhouette}


def _lineage(rows: np.ndarray, reads: Bunch, seed: int, options: Options) -> dict:
    scores: dict[str, float] = {}
    for rank, all_names in reads.get("lineage", {}).items():
        known = np.asarray(all_names) != ""
        here, names = rows[known], np.asarray(all_names)[known]
        if len(np.unique(names)) < 2:
            continue
        scores[f"{rank} ari"] = clustering_scores(here, names, **options.seeds(seed))["ari"]
        # Neighbours of the same species would say nothing about the genus.
        species = np.asarray(reads.labels)[known]
        how: Any = {"exclude": species, "max_queries": _MOST_QUERIES, "random_state": seed}
        scores[f"{rank} retrieval"] = retrieval_score(here, names, **how)
    return scores


Protocol = Callable[[np.ndarray, Bunch, int, Options], Mapping[str, float]]

#: Protocols by name. One of your own, registered here, is cached, repeated and tabulated too.
PROTOCOLS: dict[str, Protocol] = {
    "clustering": _clustering,
    "few_shot": _few_shot,
    "binning": _binning,
    "retrieval": _retrieval,
    "lineage": _lineage,
}
