"""The ablation of the loss: what the curriculum and the mixing bring, on the bundled recipe.

``python docs/benchmarks/ablation.py GENOMES --config RECIPE -o docs/results/ablation.csv``
trains the model of a recipe with each loss and seed on split ``train`` and scores it on split
``dev``. A run that was killed resumes: rows that the file has are not made again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _shared import arguments, read_rows, write_rows
from results import genome_sets

from dnaembed.backbones import Backbone
from dnaembed.benchmark import clustering_scores, few_shot_scores
from dnaembed.embedding._engine import EmbedOptions, embed_sequences
from dnaembed.training import (
    LOSSES,
    ContrastiveTrainer,
    GenomeStore,
    TrainingConfig,
    list_genomes,
)
from dnaembed.training._recipe import (
    DEFAULTS,
    make_backbone,
    make_pairs,
    merge_recipes,
    read_recipe,
)

logger = logging.getLogger("dnaembed")

_SETS = ("clean", "errors", "viruses")
_SHOTS = (1, 2, 5, 10)
COLUMNS = ("loss", "seed", *(f"ari {name}" for name in _SETS), *(f"f1@{n}" for n in _SHOTS))


def run_ablation(
    genomes: str | Path,
    recipe: str | Path,
    output: Path,
    *,
    losses: Sequence[str] = tuple(LOSSES),
    seeds: Sequence[int] = (0, 1, 2),
    n_reads: int = 50,
) -> list[dict[str, str]]:
    """Train and score the model of a recipe with each loss and seed."""
    rows = read_rows(output)
    sections = merge_recipes(DEFAULTS, read_recipe(recipe))
    sets = genome_sets(genomes, split="dev", seeds=seeds, n_reads=n_reads)
    with TemporaryDirectory() as folder:
        store_folder = Path(folder) / "store"
        GenomeStore.build(list_genomes(genomes, split="train"), store_folder)
        store = GenomeStore(store_folder)
        for draw, seed in enumerate(seeds):
            for loss in losses:
                if any((row["loss"], row["seed"]) == (loss, str(seed)) for row in rows):
                    continue
                source = make_pairs(store, sections["pairs"], seed=seed)
                backbone = make_backbone(sections["model"], source, seed=seed)
                training = sections["training"] | {"loss": loss, "checkpoint_every": None}
                config = TrainingConfig.from_dict({"seed": seed} | training)
                ContrastiveTrainer(backbone, source, config).train()
                row = {"loss": loss, "seed": str(seed)}
                for name in _SETS:
                    if name in sets:
                        row |= _score(backbone, name, sets[name][draw])
                rows.append(row)
                write_rows(output, COLUMNS, rows)
                logger.info("%s", row)
    return rows


def _score(backbone: Backbone, name: str, reads: object) -> dict[str, str]:
    sequences, labels = reads["sequences"], np.asarray(reads["labels"])  # type: ignore[index]
    embeddings = embed_sequences(backbone, sequences, EmbedOptions())
    ari = clustering_scores(embeddings, labels, n_repeats=1)["ari"]
    scores = {f"ari {name}": f"{ari:.4f}"}
    if name == "clean":
        n_test = np.unique(labels, return_counts=True)[1].min() - max(_SHOTS)
        f1 = few_shot_scores(embeddings, labels, shots=_SHOTS, n_test=int(n_test), n_repeats=3)
        scores |= {f"f1@{n}": f"{f1[n]:.4f}" for n in _SHOTS}
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ablation from the command line."""
    parser = arguments(__doc__, output="CSV file")
    parser.add_argument("genomes", help="folder with catalog.tsv")
    parser.add_argument("--config", required=True, help="recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--losses", nargs="+", default=list(LOSSES))
    args = parser.parse_args(argv)
    run_ablation(args.genomes, args.config, args.output, losses=args.losses, seeds=args.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
