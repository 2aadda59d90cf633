"""Each protocol as one function from embeddings of a set to named scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import Bunch

from ..metrics import count_above, min_similarity_from_labels, species_f1_recall
from ..species._kmedoid import modified_kmedoid
from ._genome_recovery import genome_recovery_scores
from ._neighbourhoods import retrieval_score, species_silhouette
from ._protocols import _THRESHOLDS, clustering_scores, few_shot_scores

_LEAST_BIN = 2
_MOST_QUERIES = 2000
# Rows of a species that are all alike are exactly as similar as the threshold.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class SuiteOptions:
    """What the protocols can be asked; see `dnaembed.benchmark.benchmark`."""

    n_repeats: int = 1
    shots: tuple[int, ...] = (1, 2, 5, 10, 20)
    n_test: int = 80
    min_bin_size: int | None = None
    percentile: float = 70.0

    def as_dict(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        return asdict(self)


def _clustering(rows: np.ndarray, reads: Bunch, seed: int, options: SuiteOptions) -> dict:
    return clustering_scores(
        rows, reads.labels, n_repeats=options.n_repeats, first_seed=seed * options.n_repeats
    )


def _few_shot(rows: np.ndarray, reads: Bunch, seed: int, options: SuiteOptions) -> dict:
    scores = few_shot_scores(
        rows,
        reads.labels,
        shots=options.shots,
        n_test=options.n_test,
        n_repeats=options.n_repeats,
        first_seed=seed * options.n_repeats,
        allow_fewer=True,
    )
    return {f"f1@{n_shots}": value for n_shots, value in scores.items()}


def _binning(rows: np.ndarray, reads: Bunch, seed: int, options: SuiteOptions) -> dict:
    """Bin half of the species with the threshold of the other half, and the other way round."""
    rows = normalize(rows)
    species, codes, counts = np.unique(reads.labels, return_inverse=True, return_counts=True)
    if len(species) < 2:
        return {}
    min_bin_size = options.min_bin_size
    if min_bin_size is None:
        min_bin_size = default_min_bin_size(counts)
    order = np.random.default_rng(seed).permutation(len(species))
    in_first = np.isin(codes, order[: len(species) // 2])
    bins = np.full(len(rows), -1)
    f1, recall = [], []
    for here in (in_first, ~in_first):
        threshold = min_similarity_from_labels(
            rows[~here], codes[~here], percentile=options.percentile
        )
        found = modified_kmedoid(
            rows[here],
            float(np.clip(threshold - _ROUNDING, 0, 1)),
            min_bin_size=min_bin_size,
            max_iter=len(rows),
        ).labels
        some_f1, some_recall = species_f1_recall(codes[here], found)
        f1.append(some_f1)
        recall.append(some_recall)
        bins[here] = np.where(found >= 0, found + bins.max() + 1, -1)
    scores: dict[str, float] = {}
    for name, values in (("f1", f1), ("recall", recall)):
        above = count_above(np.concatenate(values), _THRESHOLDS)
        for least, count in zip(_THRESHOLDS, above, strict=True):
            scores[f"{name}>{least}"] = float(count)
    lengths = np.array([len(sequence) for sequence in reads.sequences])
    scores |= genome_recovery_scores(reads.labels, bins, lengths)
    scores["binned"] = float((bins >= 0).mean())
    return scores


def default_min_bin_size(counts: np.ndarray) -> int:
    """Return the paper's 10, or a third of the median species where those are small."""
    return int(np.clip(np.median(counts) // 3, _LEAST_BIN, 10))


def _retrieval(rows: np.ndarray, reads: Bunch, seed: int, options: SuiteOptions) -> dict:
    scores = {
        "species": retrieval_score(
            rows, reads.labels, max_queries=_MOST_QUERIES, random_state=seed
        ),
        "silhouette": species_silhouette(rows, reads.labels),
    }
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def _lineage(rows: np.ndarray, reads: Bunch, seed: int, options: SuiteOptions) -> dict:
    scores = {}
    for rank, names in reads.get("lineage", {}).items():
        names = np.asarray(names)
        known = names != ""
        if len(np.unique(names[known])) < 2:
            continue
        here = rows[known]
        found = clustering_scores(
            here, names[known], n_repeats=options.n_repeats, first_seed=seed * options.n_repeats
        )
        scores[f"{rank} ari"] = found["ari"]
        # Neighbours of the same species would say nothing about the genus.
        retrieved = retrieval_score(
            here,
            names[known],
            exclude=np.asarray(reads.labels)[known],
            max_queries=_MOST_QUERIES,
            random_state=seed,
        )
        if not np.isnan(retrieved):
            scores[f"{rank} retrieval"] = retrieved
    return scores


Protocol = Callable[[np.ndarray, Bunch, int, SuiteOptions], Mapping[str, float]]

PROTOCOLS: dict[str, Protocol] = {
    "clustering": _clustering,
    "few_shot": _few_shot,
    "binning": _binning,
    "retrieval": _retrieval,
    "lineage": _lineage,
}


def check_protocols(protocols: Sequence[str] | None) -> list[str]:
    """Return the names of protocols; all of them for None."""
    if protocols is None:
        return list(PROTOCOLS)
    names = [protocols] if isinstance(protocols, str) else list(protocols)
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown or not names:
        raise ValueError(f"protocols must be some of {list(PROTOCOLS)}, got {protocols!r}.")
    return names
