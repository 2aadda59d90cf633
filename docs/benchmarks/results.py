"""The results page: every embedder, set and protocol, from a folder of genomes in one command.

``python docs/benchmarks/results.py GENOMES -o docs/results``
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _rivals import KmerNet, ShrunkenDiscriminants
from _shared import arguments
from sklearn.pipeline import make_pipeline, make_union
from sklearn.utils import Bunch

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import benchmark
from dnaembed.benchmark._embedders import default_embedders
from dnaembed.benchmark._results import BenchmarkResult
from dnaembed.datasets._species import read_genomes, sample_reads
from dnaembed.utils._atomic import atomic_output

logger = logging.getLogger("dnaembed")

MODEL = "dnaembed"
TRAINING_FREE = ("raw TNF", "TNF-K", "canonical TNF")
LDA = "LDA of 4+5-mers"
_CELLULAR = ("bacteria", "archaea", "fungi")


@dataclass(frozen=True)
class SetRecipe:
    """How a set of reads is cut out of the genomes."""

    domains: tuple[str, ...]
    length: tuple[int, int]
    error_rate: float = 0.0
    min_reads: int = 10
    what: str = ""


#: Genomes of viruses and organelles are too small for a hundred reads of 2 to 10 kb that do not
#: overlap: their reads are shorter, and labels with ten take part.
SETS: dict[str, SetRecipe] = {
    "clean": SetRecipe(_CELLULAR, (2000, 10_000), what="bacteria, archaea and fungi, 2-10 kb"),
    "errors": SetRecipe(_CELLULAR, (2000, 10_000), 0.05, what="the same with 5 % errors"),
    "short": SetRecipe(_CELLULAR, (800, 1500), what="bacteria, archaea and fungi, 0.8-1.5 kb"),
    "viruses": SetRecipe(("virus",), (1000, 5000), what="viruses, 1-5 kb"),
    "organelles": SetRecipe(("organelle",), (800, 2000), what="organelles, 0.8-2 kb"),
}

# Training reads are drawn as those that the bundled model was trained on.
_TRAINING_BATCHES = 40
_TRAINING_PAIRS = 512
_DOMAIN_WEIGHTS = {"virus": 0.25, "organelle": 0.1}

_SHOWN = (
    "clustering ari",
    "clustering purity",
    "clustering completeness",
    "clustering nmi",
    "few_shot f1@1",
    "few_shot f1@2",
    "few_shot f1@5",
    "few_shot f1@10",
    "few_shot f1@20",
    "binning f1>0.5",
    "binning f1>0.9",
    "binning recall>0.5",
    "binning genomes>50%<10%",
    "binning genomes>90%<5%",
    "binning purity_bp",
    "binning completeness_bp",
    "retrieval species",
    "retrieval silhouette",
    "lineage genus ari",
    "lineage genus retrieval",
    "lineage phylum ari",
    "embedding mb_per_second",
    "embedding peak_mb",
)
# Where it says which embedder wins.
_JUDGED = (
    "clustering ari",
    "few_shot f1@1",
    "few_shot f1@2",
    "few_shot f1@5",
    "few_shot f1@10",
    "few_shot f1@20",
    "binning f1>0.5",
    "binning f1>0.9",
    "retrieval species",
    "retrieval silhouette",
    "lineage genus ari",
    "lineage genus retrieval",
)


def genome_sets(
    folder: str | Path,
    *,
    split: str | None = "dev",
    seeds: Sequence[int] = (0, 1, 2),
    n_reads: int = 100,
    recipes: Mapping[str, SetRecipe] | None = None,
) -> dict[str, list[Bunch]]:
    """Make the sets of the results page: one draw for each seed.

    Parameters
    ----------
    folder : path
        Genomes with a catalogue; see `dnaembed.training.list_genomes`.
    split : str or None, default="dev"
        Rows of the catalogue to use.
    seeds : sequence of int, default=(0, 1, 2)
        Seeds of the draws.
    n_reads : int, default=100
        Reads a label, where genomes are long enough.
    recipes : mapping of str to SetRecipe, default=None
        Which sets; None: `SETS`. Those of domains that the folder has no genome of are left out.

    Returns
    -------
    dict of str to list of Bunch
        See `dnaembed.datasets.make_species_dataset`.
    """
    recipes = SETS if recipes is None else recipes
    genomes = read_genomes(folder, split=split)
    sets = {}
    for name, recipe in recipes.items():
        members = [genome for genome in genomes if genome.domain in recipe.domains]
        if members:
            sets[name] = [
                sample_reads(
                    members,
                    n_reads=n_reads,
                    min_reads=min(recipe.min_reads, n_reads),
                    length=recipe.length,
                    error_rate=recipe.error_rate,
                    random_state=seed,
                )
                for seed in seeds
            ]
            logger.info("Set %s: %d reads.", name, len(sets[name][0].sequences))
    if not sets:
        raise ValueError(f"{folder} has no genomes of split {split!r} in any known domain.")
    return sets


def training_reads(
    folder: str | Path,
    store_folder: Path,
    *,
    split: str | None = "train",
    n_batches: int = _TRAINING_BATCHES,
    n_pairs: int = _TRAINING_PAIRS,
    seed: int = 99,
) -> tuple[list[str], np.ndarray]:
    """Draw labelled reads to fit baselines on, as the bundled model's training draws them.

    The genomes are packed into `store_folder` once.
    """
    from dnaembed.training import GenomePairs, GenomeStore, list_genomes

    if (store_folder / "index.json").is_file():
        store = GenomeStore(store_folder)
    else:
        store = GenomeStore.build(list_genomes(folder, split=split), store_folder)
    weights = {name: w for name, w in _DOMAIN_WEIGHTS.items() if name in store.domains}
    pairs = GenomePairs(store, domain_weights=weights, seed=seed)
    sequences: list[str] = []
    labels: list[np.ndarray] = []
    for step in range(n_batches):
        batch = pairs.sample(step, n_pairs)
        if batch.labels is None:
            raise ValueError("Genomes without labels.")
        sequences += [*batch.view1, *batch.view2]
        labels += [batch.labels, batch.labels]
    return sequences, np.concatenate(labels)


def all_embedders(model: str = "default") -> dict[str, Any]:
    """Return the default embedders, our own discriminants and the k-mer network among them."""
    embedders = default_embedders(model=model)
    judged = embedders.pop(MODEL)
    profiles = make_union(KmerEmbedder(4), KmerEmbedder(5))
    embedders[LDA] = make_pipeline(profiles, ShrunkenDiscriminants())
    embedders["k-mer net"] = KmerNet(n_epochs=10, random_state=0)
    return embedders | {MODEL: judged}


def write_results(result: BenchmarkResult, folder: Path, *, model: str = MODEL) -> None:
    """Write ``scores.csv``, ``summary.csv``, ``results.json`` and ``tables.txt`` (for Sphinx)."""
    result.to_csv(folder / "scores.csv")
    result.to_csv(folder / "summary.csv", summary=True)
    result.to_json(folder / "results.json")
    parts = [_about(result), _ratios(result, model), _losses(result, model)]
    parts += [_set_table(result, name) for name in result.sets]
    with atomic_output(folder / "tables.txt") as path:
        path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _about(result: BenchmarkResult) -> str:
    lines = [_title("The sets")]
    rows = []
    for name, draws in result.about["sets"].items():
        first = draws[0]
        what = SETS[name].what if name in SETS else ""
        rows.append(
            [
                name,
                what,
                str(first["n_labels"]),
                str(first["n_reads"]),
                str(first["least_reads_a_label"]),
                f"{first['bases'] / 1e6:.1f}",
                str(len(draws)),
            ]
        )
    header = ["set", "reads", "labels", "reads", "fewest of a label", "Mb", "draws"]
    lines.append(_list_table(header, rows))
    found = result.about["versions"]
    lines.append(
        "Versions: "
        + ", ".join(f"{name} {value}" for name, value in found.items())
        + ". Baselines "
        f"that learn were fitted on {result.about['n_training']:,} reads of the training split."
    )
    return "\n\n".join(lines)


def _ratios(result: BenchmarkResult, model: str) -> str:
    """How many times better than each kind of baseline, set by set."""
    if model not in result.embedders:
        return ""
    free = [name for name in TRAINING_FREE if name in result.embedders]
    rows = []
    for name in result.sets:
        ari = result.mean(model, name, "clustering ari")
        bins = result.mean(model, name, "binning f1>0.5")
        row = [
            name,
            f"{ari:.3f}",
            _times(ari, result.mean("raw TNF", name, "clustering ari")),
            _times(ari, _most(result, free, name, "clustering ari")),
            _times(ari, result.mean(LDA, name, "clustering ari")),
            _against(result, model, name, "few_shot f1@2", ["raw TNF"], "few_shot f1@10"),
            _against(result, model, name, "few_shot f1@5", free, "few_shot f1@10"),
            _times(bins, result.mean("raw TNF", name, "binning f1>0.5")),
        ]
        rows.append(row)
    header = [
        "set",
        "ARI",
        "times raw TNF",
        "times best training-free",
        "times LDA",
        "2 shots against raw TNF at 10",
        "5 shots against best training-free at 10",
        "species binned, times raw TNF",
    ]
    return "\n\n".join(
        [_title("The bundled model against the baselines"), _list_table(header, rows)]
    )


def _losses(result: BenchmarkResult, model: str) -> str:
    """State where another embedder has the better mean."""
    if model not in result.embedders:
        return ""
    lines = []
    n_judged = n_within = 0
    for name in result.sets:
        for score in _JUDGED:
            ours = result.mean(model, name, score)
            others = [e for e in result.embedders if e != model and result.values(e, name, score)]
            if np.isnan(ours) or not others:
                continue
            n_judged += 1
            best = max(others, key=lambda e: result.mean(e, name, score))
            theirs = result.mean(best, name, score)
            if theirs > ours:
                digits = 1 if score.startswith("binning") else 3
                spread = max(_spread(result.values(e, name, score)) for e in (model, best))
                within = theirs - ours <= spread
                n_within += within
                lines.append(
                    f"- {name}, {score}: {best} has {theirs:.{digits}f}, the bundled model "
                    f"{ours:.{digits}f}{', within the spread' if within else ''}."
                )
    text = (
        f"Of {n_judged} comparisons (mean over the draws) with the best of all others the bundled "
        f"model loses {len(lines)}, {n_within} of them by no more than one standard deviation."
    )
    return "\n\n".join([_title("Where we lose"), text, "\n".join(lines)])


def _set_table(result: BenchmarkResult, name: str) -> str:
    blocks = [_title(f"Set: {name}")]
    _, rows = result.table(name, _SHOWN)
    header, _ = result.table(name, _SHOWN)
    by_protocol: dict[str, list[int]] = {}
    for column, score in enumerate(header[1:], start=1):
        by_protocol.setdefault(score.partition(" ")[0], []).append(column)
    for protocol, columns in by_protocol.items():
        short = ["embedder", *(header[column].partition(" ")[2] for column in columns)]
        cells = [
            [row[0][0], *(f"**{row[c][0]}**" if row[c][1] else row[c][0] for c in columns)]
            for row in rows
        ]
        blocks.append(_list_table(short, cells, title=protocol.replace("_", "-")))
    return "\n\n".join(blocks)


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _times(ours: float, theirs: float) -> str:
    return "" if np.isnan(ours) or np.isnan(theirs) or theirs <= 0 else f"{ours / theirs:.2f}"


def _most(result: BenchmarkResult, embedders: Sequence[str], name: str, score: str) -> float:
    values = [result.mean(e, name, score) for e in embedders if result.values(e, name, score)]
    return max(values, default=float("nan"))


def _against(
    result: BenchmarkResult,
    model: str,
    name: str,
    ours: str,
    embedders: Sequence[str],
    theirs: str,
) -> str:
    mine, other = result.mean(model, name, ours), _most(result, embedders, name, theirs)
    return "" if np.isnan(mine) or np.isnan(other) else f"{mine:.3f} : {other:.3f}"


def _title(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _list_table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    lines = [f".. list-table:: {title}".rstrip(), "   :header-rows: 1", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see ``--help``."""
    parser = arguments(__doc__)
    parser.add_argument("genomes", help="folder of genomes with catalog.tsv")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="for the results")
    parser.add_argument("--split", default="dev", help="of the test genomes (default: dev)")
    parser.add_argument(
        "--train-split", default="train", help="for baselines that learn (default: train)"
    )
    parser.add_argument("--model", default="default", help="the model judged (default: bundled)")
    parser.add_argument(
        "--embedder",
        action="append",
        default=[],
        metavar="NAME=MODEL",
        help="a further model: bundled name, folder or hub id; may be repeated",
    )
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3, help="draws of each set (default: 3)")
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        help="seeds of K-means and of shots for each draw (default: 1)",
    )
    parser.add_argument("--reads", type=int, default=100, help="a label (default: 100)")
    parser.add_argument("--training-batches", type=int, default=_TRAINING_BATCHES)
    parser.add_argument("--jobs", type=int, default=None, help="processes (default: 1)")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="for what is done already (default: OUTPUT/.cache)"
    )
    parser.add_argument("--no-pictures", action="store_true")
    args = parser.parse_args(argv)
    _run(args)
    return 0


def _run(args: argparse.Namespace) -> None:
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    cache = Path(args.cache) if args.cache else output / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    embedders = all_embedders(args.model)
    for item in args.embedder:
        name, equals, model = item.partition("=")
        if not equals:
            raise ValueError(f"--embedder takes NAME=MODEL, got {item!r}.")
        embedders[name] = DNABertSEmbedder(model, cache=None)
    sets = genome_sets(
        args.genomes,
        split=args.split,
        seeds=range(args.seeds),
        n_reads=args.reads,
        recipes={name: SETS[name] for name in args.sets},
    )
    training = training_reads(
        args.genomes,
        cache / f"store_{args.train_split}",
        split=args.train_split,
        n_batches=args.training_batches,
    )
    result = benchmark(
        sets,
        embedders,
        training=training,
        n_repeats=args.repeats,
        cache=cache / "scores",
        n_jobs=args.jobs,
    )
    write_results(result, output)
    if not args.no_pictures:
        _write_pictures(result, output, sets, embedders, training)
    logger.info("Wrote %s.", output)


def _write_pictures(
    result: BenchmarkResult,
    output: Path,
    sets: Mapping[str, list[Bunch]],
    embedders: Mapping[str, Any],
    training: tuple[list[str], np.ndarray],
) -> None:
    from dnaembed.benchmark._pictures import save_pictures

    first = next(iter(sets))
    shown = {name: embedders[name] for name in ("raw TNF", LDA, MODEL) if name in embedders}
    for embedder in shown.values():
        embedder.fit(*training)
    save_pictures(result, output, reads={first: sets[first][0]}, embedders=shown)


if __name__ == "__main__":
    sys.exit(main())
