"""Quality on unseen genera against the number of species a model was trained on.

``python docs/benchmarks/label_curve.py GENOMES MORE -o docs/results/label_curve.csv`` trains models
of two sizes on 250, 500, 1,000, 2,000 and all labels of split ``train`` of the folders, drawn anew
for each seed, for the same number of steps, and scores them on reads of split ``dev`` of the first
folder. Rows that the file has are not made again, so that a run that was killed goes on. The
genomes are packed into ``--store`` once.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from _shared import arguments, read_rows, write_rows
from results import genome_sets
from sklearn.utils import Bunch

from dnaembed.backbones import Backbone
from dnaembed.benchmark import clustering_scores, few_shot_scores
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.training import ContrastiveTrainer, GenomeStore, TrainingConfig, list_genomes
from dnaembed.training._recipe import DEFAULTS, make_backbone, make_pairs, merge_recipes

SETS = ("clean", "errors", "short", "viruses", "organelles")
_SHOTS = (2, 10)
_LEFT_OUT = "left out"
SIZES = {
    "small": {"k": [4, 5], "hidden_size": 256, "intermediate_size": 256, "deep_size": 128},
    "large": {"k": [4, 5, 6], "hidden_size": 768, "intermediate_size": 768, "deep_size": 256},
}
MODEL = {"architecture": "kmer_profile", "num_hidden_layers": 2, "dropout": 0.2}
PAIRS = {"error_rate": [0.0, 0.1], "virtual_share": 0.35}
TRAINING = {
    "loss": "weighted_simclr",
    "batch_size": 512,
    "temperature": 0.07,
    "head_size": None,
    "learning_rate": 2e-3,
    "betas": [0.9, 0.98],
    "weight_decay": 0.05,
    "final_learning_rate": 0.02,
    "ema_decay": 0.999,
}
SCORES = (
    *(f"ari {name}" for name in SETS),
    *(f"f1@{n} {name}" for name in SETS for n in _SHOTS),
)
COLUMNS = ("model", "labels", "seed", "steps", *SCORES, "seconds")


def open_store(place: Path, genomes: Sequence[str]) -> GenomeStore:
    """Open a store of split ``train`` of folders of genomes; make it where there is none."""
    if (place / "index.json").is_file():
        return GenomeStore(place)
    records = [r for folder in genomes for r in list_genomes(folder, split="train")]
    return GenomeStore.build(records, place)


def with_labels(store: GenomeStore, n_labels: int, seed: int) -> GenomeStore:
    """Return the store with all but `n_labels` labels in a domain of their own."""
    few = copy.copy(store)
    kept = set(np.random.default_rng(seed).permutation(len(store.labels))[:n_labels].tolist())
    few.domains = [d if i in kept else _LEFT_OUT for i, d in enumerate(store.domains)]
    return few


def scores_of(backbone: Backbone, sets: Mapping[str, Bunch]) -> dict[str, str]:
    """Score a model on one draw of each set."""
    row = {}
    for name in SETS:
        rows = embed_sequences(backbone, sets[name]["sequences"], EmbedOptions())
        labels = np.asarray(sets[name]["labels"])
        row[f"ari {name}"] = f"{clustering_scores(rows, labels, n_repeats=2)['ari']:.4f}"
        smallest = int(np.unique(labels, return_counts=True)[1].min())
        shots = [n for n in _SHOTS if n < smallest]
        f1 = few_shot_scores(rows, labels, shots=shots, n_test=smallest - max(shots), n_repeats=3)
        row |= {f"f1@{n} {name}": f"{f1[n]:.4f}" for n in shots}
    return row


def run(
    store: GenomeStore, sets: dict, known: list, sizes: Sequence[int], seeds: Sequence[int],
    steps: int,
) -> Iterator[dict[str, str]]:  # fmt: skip
    """Yield a row of the table for each seed, number of labels and model."""
    had = {(row["model"], row["labels"], row["seed"], row["steps"]) for row in known}
    for draw, seed in enumerate(seeds):
        for n_labels in [n for n in sizes if n < len(store.labels)] + [len(store.labels)]:
            for name, shape in SIZES.items():
                row = {"model": name, "labels": str(n_labels), "seed": str(seed)}
                row["steps"] = str(steps)
                if tuple(row.values()) in had:
                    continue
                start = perf_counter()
                few = with_labels(store, n_labels, seed)
                weights = {_LEFT_OUT: 0.0} if _LEFT_OUT in few.domains else {}
                sections = merge_recipes(
                    DEFAULTS, {"model": MODEL | shape, "pairs": PAIRS, "training": TRAINING}
                )
                source = make_pairs(few, sections["pairs"] | {"domain_weights": weights}, seed=seed)
                backbone = make_backbone(sections["model"], source, seed=seed)
                training = sections["training"] | {"n_steps": steps, "checkpoint_every": None}
                config = TrainingConfig.from_dict({"seed": seed} | training)
                ContrastiveTrainer(backbone, source, config).train()
                seconds = perf_counter() - start
                row |= scores_of(backbone, {name: each[draw] for name, each in sets.items()})
                yield row | {"seconds": f"{seconds:.0f}"}


def main(argv: Sequence[str] | None = None) -> int:
    """Train and score from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("genomes", nargs="+", help="folders with a catalog.tsv")
    parser.add_argument("--store", type=Path, required=True, help="folder for packed genomes")
    parser.add_argument("--labels", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500, help="default: 1,500")
    args = parser.parse_args(argv)
    store = open_store(args.store, args.genomes)
    sets = genome_sets(args.genomes[0], split="dev", seeds=args.seeds, n_reads=50)
    rows = read_rows(args.output)
    for row in run(store, sets, list(rows), args.labels, args.seeds, args.steps):
        rows.append(row)
        write_rows(args.output, COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
