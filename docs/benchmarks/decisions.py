"""What the defaults of bins and of unknown species were chosen by.

``python docs/benchmarks/decisions.py GENOMES -o docs/results`` bins reads of the split ``dev``
by each method, beside the paper's K-medoid with its labelled threshold, and tells reads of known
species from those of held-out genera. It writes ``binning.csv`` and ``novelty.csv``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _shared import arguments, write_rows
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, normalize

from dnaembed import DNABertSEmbedder, FewShotSpeciesClassifier, SpeciesClusterer
from dnaembed.datasets._species import make_species_dataset, read_genomes
from dnaembed.metrics import min_similarity_from_labels, species_f1_recall

logger = logging.getLogger("dnaembed")

_DOMAINS = ("bacteria", "archaea", "fungi")
_LENGTH = (2500, 10_000)
_N_READS = 100
_LEAST_READS = 10
_SHOTS = (2, 5, 10)
_KNOWN_RATE = 0.95

Row = dict[str, str]


def measure(
    genomes: str | Path,
    embedder: Any,
    *,
    split: str = "dev",
    seeds: Sequence[int] = (0, 1, 2),
    n_reads: int = _N_READS,
) -> tuple[list[Row], list[Row]]:
    """Compare ways to bin, and ways to tell that a species is unknown."""
    members = [g for g in read_genomes(genomes, split=split) if g.domain in _DOMAINS]
    binning, novelty = [], []
    for abundance in ("even", "lognormal"):
        for seed in seeds:
            reads = make_species_dataset(
                members,
                n_reads=n_reads,
                min_reads=min(_LEAST_READS, n_reads),
                length=_LENGTH,
                abundance=abundance,
                random_state=seed,
            )
            embeddings = embedder.fit_transform(reads.sequences)
            genera = reads.lineage["genus"]
            row = {"abundance": abundance, "seed": str(seed)}
            for found in compare_bins(embeddings, reads.labels, genera, seed=seed):
                binning.append(row | found)
            if abundance == "even":
                for found in compare_novelty(embeddings, reads.labels, genera, seed=seed):
                    novelty.append({"seed": str(seed)} | found)
            logger.info("%s, seed %d: done.", abundance, seed)
    return binning, novelty


def held_out(genera: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw a share of the genera; return which rows are theirs."""
    names = np.random.default_rng(seed).permutation(np.unique(genera))
    return np.isin(genera, names[: max(1, round(share * len(names)))])


def compare_bins(
    embeddings: np.ndarray, labels: np.ndarray, genera: np.ndarray, *, seed: int
) -> list[Row]:
    """Bin reads by each method.

    A third of the genera is labelled and gives the paper's threshold; the others are binned.
    """
    labelled = held_out(genera, 1 / 3, seed)
    threshold = min_similarity_from_labels(embeddings[labelled], labels[labelled])
    rows, truth = embeddings[~labelled], labels[~labelled]
    dense = HDBSCAN(10, min_samples=3, cluster_selection_method="leaf", copy=True)
    n_components = min(20, *rows.shape)
    methods: dict[str, Any] = {
        "paper: K-medoid, labelled threshold": SpeciesClusterer(min_similarity=threshold),
        "HDBSCAN": make_pipeline(Normalizer(), PCA(n_components, random_state=seed), dense),
        "graph (default)": SpeciesClusterer(random_state=seed),
    }
    found = []
    for name, clusterer in methods.items():
        start = perf_counter()
        bins = clusterer.fit_predict(rows)
        seconds = perf_counter() - start
        f1, _ = species_f1_recall(truth, bins)
        # A read without a bin counts as missed, where the paper leaves it out.
        alone = np.where(bins < 0, bins.max() + 1 + np.arange(len(bins)), bins)
        f1_of_all, _ = species_f1_recall(truth, alone)
        found.append(
            {
                "method": name,
                "species": str(len(np.unique(truth))),
                "f1>0.5": str(np.count_nonzero(f1 > 0.5)),
                "f1>0.9": str(np.count_nonzero(f1 > 0.9)),
                "f1>0.5 of all reads": str(np.count_nonzero(f1_of_all > 0.5)),
                "bins": str(bins.max() + 1),
                "binned": f"{np.mean(bins >= 0):.3f}",
                "ari of binned": f"{_ari(truth, bins):.3f}",
                "seconds": f"{seconds:.1f}",
            }
        )
    return found


def _ari(truth: np.ndarray, bins: np.ndarray) -> float:
    binned = bins >= 0
    return float(adjusted_rand_score(truth[binned], bins[binned])) if binned.any() else 0.0


def compare_novelty(
    embeddings: np.ndarray, labels: np.ndarray, genera: np.ndarray, *, seed: int
) -> list[Row]:
    """Tell reads of known species from those of held-out genera."""
    novel = held_out(genera, 0.5, seed)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~novel))
    new = embeddings[novel]
    rows = []
    for n_shots in _SHOTS:
        members = [order[labels[order] == name] for name in np.unique(labels[order])]
        members = [m for m in members if len(m) > n_shots]
        train = np.concatenate([m[:n_shots] for m in members])
        test = np.concatenate([m[n_shots:] for m in members])
        plain = FewShotSpeciesClassifier(unknown="unknown").fit(embeddings[train], labels[train])
        calibrated = FewShotSpeciesClassifier(calibrate=True).fit(embeddings[train], labels[train])
        centers = normalize([normalize(embeddings[m[:n_shots]]).mean(axis=0) for m in members])
        scores = {
            "novelty_scores": [plain.novelty_scores(X) for X in (embeddings[test], new)],
            "nearest centroid": [
                1 - (normalize(X) @ centers.T).max(axis=1) for X in (embeddings[test], new)
            ],
        }
        for name, classifier in (("", plain), (", calibrated", calibrated)):
            scores[f"max probability{name}"] = [
                1 - classifier.predict_proba(X).max(axis=1) for X in (embeddings[test], new)
            ]
        for name, (of_known, of_new) in scores.items():
            row = {"shots": str(n_shots), "score": name} | separation(of_known, of_new)
            if name == "novelty_scores":
                row["known called unknown"] = f"{_share(plain, embeddings[test]):.3f}"
                row["new called unknown"] = f"{_share(plain, new):.3f}"
            elif name.startswith("max"):
                classifier = calibrated if name.endswith("calibrated") else plain
                found = classifier.predict_proba(embeddings[test])
                right = classifier.classes_[found.argmax(axis=1)] == labels[test]
                error = calibration_error(found.max(axis=1), right)
                row["calibration error"] = f"{error:.3f}"
            rows.append(row)
    return rows


def _share(classifier: FewShotSpeciesClassifier, X: np.ndarray) -> float:
    return float(np.mean(classifier.predict(X) == "unknown"))


def separation(known: np.ndarray, new: np.ndarray) -> Row:
    """Return the AUROC, and the share of new reads that pass where 95 % of known ones do."""
    truth = np.repeat([0, 1], [len(known), len(new)])
    auroc = roc_auc_score(truth, np.concatenate([known, new]))
    passed = np.mean(new <= np.quantile(known, _KNOWN_RATE))
    return {"auroc": f"{auroc:.3f}", "fpr95": f"{passed:.3f}"}


def calibration_error(probability: np.ndarray, right: np.ndarray, n_bins: int = 15) -> float:
    """Return the expected calibration error: mean gap of probability and accuracy, in bins."""
    place = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(place, probability - right, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(probability))


def _write(path: Path, rows: Sequence[Row]) -> None:
    write_rows(path, list(dict.fromkeys(column for row in rows for column in row)), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line."""
    parser = arguments(__doc__, output="folder for the two files")
    parser.add_argument("genomes", help="folder with catalog.tsv")
    parser.add_argument("--model", default="default", help="name or folder of the model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(argv)
    embedder = DNABertSEmbedder(args.model)
    binning, novelty = measure(args.genomes, embedder, seeds=args.seeds)
    _write(args.output / "binning.csv", binning)
    _write(args.output / "novelty.csv", novelty)
    return 0


if __name__ == "__main__":
    sys.exit(main())
