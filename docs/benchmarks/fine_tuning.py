"""What fine-tuning brings on genomes that no model was trained on, with labels and without.

``python docs/benchmarks/fine_tuning.py GENOMES -o docs/results/fine_tuning.csv``
scores the bundled model on reads of split ``dev`` as it is, whitened by the covariance of those
reads, adapted to them without their labels (ARI of K-means), and fine-tuned on five labelled reads
per species (F1 of the others). A run that was killed resumes: rows that the file has are not made
again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _shared import arguments, read_rows, write_rows
from numpy.typing import NDArray
from results import SETS, genome_sets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from dnaembed.benchmark import clustering_scores
from dnaembed.embedding._embedder import DNABertSEmbedder
from dnaembed.training import ContrastiveFineTuner

logger = logging.getLogger("dnaembed")

_SETS = ("clean", "errors", "short", "viruses")
_SHOTS = 5
COLUMNS = (
    "set", "seed", "reads", "labels", "ari", "ari whitened", "ari adapted", "f1@5",
    "f1@5 fine-tuned",
)  # fmt: skip


def run_fine_tuning(
    genomes: str | Path,
    output: Path,
    *,
    model: str = "default",
    seeds: Sequence[int] = (0, 1, 2),
    n_reads: int = 50,
    n_repeats: int = 5,
    fine_tuner: Any = None,
) -> list[dict[str, str]]:
    """Score a model before and after fine-tuning."""
    rows = read_rows(output)
    tuner = ContrastiveFineTuner() if fine_tuner is None else fine_tuner
    recipes = {name: SETS[name] for name in _SETS}
    sets = genome_sets(genomes, split="dev", seeds=seeds, n_reads=n_reads, recipes=recipes)
    for draw, seed in enumerate(seeds):
        for name, draws in sets.items():
            if any((row["set"], row["seed"]) == (name, str(seed)) for row in rows):
                continue
            reads = draws[draw]
            codes = np.unique(reads.labels, return_inverse=True)[1]
            embedder = DNABertSEmbedder(model, random_state=seed, cache=None)
            before = embedder.fit_transform(reads.sequences)
            embedder.set_params(fine_tuner=tuner)
            adapted = embedder.fit_transform(reads.sequences)
            known = labelled_reads(codes, _SHOTS, seed=seed)
            embedder.fit([reads.sequences[i] for i in known], codes[known])
            tuned = embedder.transform(reads.sequences)
            scores = [
                clustering_scores(before, codes, n_repeats=n_repeats)["ari"],
                clustering_scores(whitened(before), codes, n_repeats=n_repeats)["ari"],
                clustering_scores(adapted, codes, n_repeats=n_repeats)["ari"],
                few_shot_f1(before, codes, known),
                few_shot_f1(tuned, codes, known),
            ]
            cells = [name, str(seed), str(len(codes)), str(codes.max() + 1)]
            cells += [f"{score:.4f}" for score in scores]
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
            write_rows(output, COLUMNS, rows)
            logger.info("%s", rows[-1])
    return rows


def whitened(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take out the mean and the covariance, to which as much noise of all directions is added."""
    centred = rows - rows.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(centred.T))
    return np.asarray(centred @ axes / np.sqrt(values + values.mean()), np.float32)


def labelled_reads(codes: NDArray[np.intp], n_shots: int, *, seed: int) -> NDArray[np.intp]:
    """Draw the numbers of `n_shots` reads of each species."""
    least = np.bincount(codes).min()
    if least <= n_shots:
        raise ValueError(f"{n_shots} shots leave nothing to test on: a species has {least} reads.")
    order = np.random.default_rng(seed).permutation(len(codes))
    return np.concatenate([order[codes[order] == i][:n_shots] for i in range(codes.max() + 1)])


def few_shot_f1(
    embeddings: NDArray[np.float32], codes: NDArray[np.intp], known: NDArray[np.intp]
) -> float:
    """Macro F1 of all reads but the known ones, as in the paper's few-shot protocol."""
    # Single precision is too coarse for the solver to converge on.
    rows = StandardScaler().fit_transform(embeddings.astype(np.float64))
    test = np.setdiff1d(np.arange(len(codes)), known)
    classifier = LogisticRegression(C=0.5, max_iter=3000).fit(rows[known], codes[known])
    return float(f1_score(codes[test], classifier.predict(rows[test]), average="macro"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurement from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("genomes", help="folder with catalog.tsv")
    parser.add_argument("--model", default="default", help="default: the bundled one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(argv)
    run_fine_tuning(args.genomes, args.output, model=args.model, seeds=args.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
