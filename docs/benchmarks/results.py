"""The results page: every embedder, set and protocol, from a folder of genomes in one command.

``python docs/benchmarks/results.py GENOMES -o docs/results``
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from _rivals import KmerNet, ShrunkenDiscriminants, TnfK
from _shared import arguments
from matplotlib import rc_context
from sklearn.pipeline import make_pipeline, make_union
from sklearn.utils import Bunch

from dnaembed import DNABertSEmbedder, KmerEmbedder
from dnaembed.benchmark import (
    BenchmarkResult,
    benchmark,
    default_embedders,
    plot_bars,
    plot_few_shot,
)
from dnaembed.benchmark._benchmark import model_name
from dnaembed.benchmark._pictures import save_pictures
from dnaembed.datasets._species import make_species_dataset, read_genomes
from dnaembed.plotting import new_figure
from dnaembed.training import GenomePairs, GenomeStore, list_genomes
from dnaembed.utils._atomic import atomic_output

logger = logging.getLogger("dnaembed")

MODEL = model_name("default")
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
_TRAINING_SEED = 99
_DOMAIN_WEIGHTS = {"virus": 0.25, "organelle": 0.1}

# Scores by the names that a person would say, in the order of the page.
_NAMES = {
    "clustering ari": "K-means ARI",
    "clustering purity": "K-means homogeneity",
    "clustering completeness": "K-means completeness",
    "clustering nmi": "K-means normalised mutual information",
    "few_shot f1@1": "macro F1 from 1 labelled read per species",
    "few_shot f1@2": "macro F1 from 2 labelled reads per species",
    "few_shot f1@5": "macro F1 from 5 labelled reads per species",
    "few_shot f1@10": "macro F1 from 10 labelled reads per species",
    "few_shot f1@20": "macro F1 from 20 labelled reads per species",
    "binning f1>0.5": "species binned with F1 over 0.5",
    "binning f1>0.9": "species binned with F1 over 0.9",
    "binning recall>0.5": "species binned with recall over 0.5",
    "binning genomes>50%<10%": "genomes binned over 50 %, with under 10 % others",
    "binning genomes>90%<5%": "genomes binned over 90 %, with under 5 % others",
    "binning purity_bp": "purity of bins, by bases",
    "binning completeness_bp": "completeness of bins, by bases",
    "retrieval species": "nearest neighbour of the same species",
    "retrieval silhouette": "silhouette of the species",
    "lineage genus ari": "ARI of clusters and genera",
    "lineage genus retrieval": "nearest other species of the same genus",
    "lineage phylum ari": "ARI of clusters and phyla",
    "embedding mb_per_second": "megabases per second",
}
# Rows of the table of headlines: set, score, and what it says beside the name of the score.
_HEADLINES = (
    ("clean", "clustering ari", ""),
    ("errors", "clustering ari", ", 5 % errors"),
    ("short", "clustering ari", ", 0.8-1.5 kb"),
    ("viruses", "clustering ari", ", viruses"),
    ("organelles", "clustering ari", ", organelles"),
    *(("clean", f"few_shot f1@{n}", "") for n in (1, 2, 5, 10)),
    ("clean", "binning f1>0.5", ""),
    ("clean", "binning genomes>50%<10%", ""),
    ("clean", "retrieval species", ""),
    ("clean", "lineage genus retrieval", ""),
)
_COMPARED = ("raw TNF", "canonical TNF", LDA, "k-mer net", MODEL)
# Where it says which embedder wins.
_JUDGED = (
    "clustering ari", "few_shot f1@1", "few_shot f1@2", "few_shot f1@5", "few_shot f1@10",
    "few_shot f1@20", "binning f1>0.5", "binning f1>0.9", "retrieval species",
    "retrieval silhouette", "lineage genus ari", "lineage genus retrieval",
)  # fmt: skip


def genome_sets(
    folder: str | Path,
    *,
    split: str | None = "dev",
    seeds: Sequence[int] = (0, 1, 2),
    n_reads: int = 100,
    recipes: Mapping[str, SetRecipe] | None = None,
) -> dict[str, list[Bunch]]:
    """Make the sets of the results page: one draw for each seed."""
    recipes = SETS if recipes is None else recipes
    genomes = read_genomes(folder, split=split)
    sets = {}
    for name, recipe in recipes.items():
        members = [genome for genome in genomes if genome.domain in recipe.domains]
        if members:
            sets[name] = [
                make_species_dataset(
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
    folder: str | Path, store_folder: Path, *, split: str, n_batches: int
) -> tuple[list[str], np.ndarray]:
    """Draw labelled reads to fit baselines on, as the bundled model's training draws them.

    The genomes are packed into `store_folder` once.
    """
    if (store_folder / "index.json").is_file():
        store = GenomeStore(store_folder)
    else:
        store = GenomeStore.build(list_genomes(folder, split=split), store_folder)
    weights = {name: w for name, w in _DOMAIN_WEIGHTS.items() if name in store.domains}
    pairs = GenomePairs(store, domain_weights=weights, seed=_TRAINING_SEED)
    batches = [pairs.sample(step, _TRAINING_PAIRS) for step in range(n_batches)]
    sequences = [read for batch in batches for read in (*batch.view1, *batch.view2)]
    labels = [np.asarray(batch.labels) for batch in batches for _ in range(2)]
    return sequences, np.concatenate(labels)


def all_embedders(model: str = "default") -> dict[str, Any]:
    """Return the default embedders, TNF-K, our own discriminants and the k-mer network."""
    embedders = {"raw TNF": None, "TNF-K": TnfK()} | default_embedders(model=None)
    profiles = make_union(KmerEmbedder(4), KmerEmbedder(5))
    embedders[LDA] = make_pipeline(profiles, ShrunkenDiscriminants())
    embedders["k-mer net"] = KmerNet(n_epochs=10, random_state=0)
    return embedders | {MODEL: DNABertSEmbedder(model, cache=None)}


def write_results(result: BenchmarkResult, folder: Path) -> None:
    """Write the scores, and what the pages show of them: tables for Sphinx, and two pictures."""
    result.to_csv(folder / "scores.csv")
    result.to_csv(folder / "summary.csv", summary=True)
    result.to_json(folder / "results.json")
    for name, text in {
        "headlines.txt": _headlines(result),
        "losses.txt": _losses(result),
        "sets.txt": _about(result),
        "scores.html": _all_scores(result),
    }.items():
        with atomic_output(folder / name) as path:
            path.write_text(text + "\n", encoding="utf-8")
    for name, figure in (("bars.png", _bars(result)), ("few_shot.png", _few_shot(result))):
        figure.savefig(folder / name, dpi=100, transparent=True)


def _about(result: BenchmarkResult) -> str:
    rows = []
    for name, draws in result.about["sets"].items():
        first = draws[0]
        counts = [first[key] for key in ("n_labels", "n_reads", "least_reads_a_label")]
        megabases = f"{first['bases'] / 1e6:.1f}"
        rows.append([name, SETS[name].what, *map(str, counts), megabases, str(len(draws))])
    header = ["set", "what", "labels", "reads", "fewest of a label", "Mb", "draws"]
    versions = ", ".join(f"{name} {value}" for name, value in result.about["versions"].items())
    text = (
        f"Versions: {versions}. Baselines that learn were fitted on "
        f"{result.about['n_training']:,} reads of the training split."
    )
    return "\n\n".join([_list_table(header, rows), text])


def _headlines(result: BenchmarkResult) -> str:
    rows = []
    for name, score, note in _HEADLINES:
        if score not in result.scores:
            continue
        means = [result.mean(embedder, name, score) for embedder in _COMPARED]
        if not np.isfinite(means).any():
            continue
        digits = 0 if score.startswith("binning") else 2
        cells = ["" if np.isnan(mean) else f"{mean:.{digits}f}" for mean in means]
        best = cells[int(np.nanargmax(means))]
        rows.append([_NAMES[score] + note, *(f"**{c}**" if c == best else c for c in cells)])
    return _list_table(["score", *_COMPARED], rows)


def _all_scores(result: BenchmarkResult) -> str:
    """Return all scores as one table of HTML, which ``scores.js`` searches and sorts."""
    header = ["set", "score", *result.embedders]
    lines = ['<table class="table scores"><thead><tr>']
    lines += [f'<th scope="col"><button>{escape(name)}</button></th>' for name in header]
    lines.append("</tr></thead><tbody>")
    for name in result.sets:
        titles, rows = result.table(name, list(_NAMES))
        for column, score in enumerate(titles[1:], 1):
            cells = [
                f"<b>{row[column][0]}</b>" if row[column][1] else row[column][0] for row in rows
            ]
            cells = [name, escape(_NAMES[score]), *cells]
            lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _bars(result: BenchmarkResult) -> Any:
    figure, [axis] = new_figure(1)
    figure.set_size_inches(8.2, 3)
    plot_bars(result, "clustering ari", ax=axis)
    axis.set(ylabel="adjusted Rand index")
    return figure


def _few_shot(result: BenchmarkResult) -> Any:
    sets = [name for name in ("clean", "errors", "short") if name in result.sets]
    figure, axes = new_figure(len(sets))
    figure.set_size_inches(8.2, 3)
    for name, axis in zip(sets, axes, strict=True):
        plot_few_shot(result, name, ax=axis)
        axis.set(title=SETS[name].what.removeprefix("bacteria, archaea and fungi, "), xlabel="")
        axis.get_legend().remove()
        axis.set(ylabel="macro F1" if axis is axes[0] else "", ylim=(0, 1))
    figure.supxlabel("labelled reads per species", fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def _losses(result: BenchmarkResult) -> str:
    """State where another embedder has the better mean."""
    lines = []
    n_judged = n_within = 0
    for name in result.sets:
        for score in _JUDGED:
            if score not in result.scores:
                continue
            ours = result.mean(MODEL, name, score)
            means = {e: result.mean(e, name, score) for e in result.embedders if e != MODEL}
            means = {e: mean for e, mean in means.items() if not np.isnan(mean)}
            if np.isnan(ours) or not means:
                continue
            n_judged += 1
            best = max(means, key=means.__getitem__)
            if means[best] > ours:
                digits = 1 if score.startswith("binning") else 3
                spreads = [_spread(result.values(e, name, score)) for e in (MODEL, best)]
                within = means[best] - ours <= max(spreads)
                n_within += within
                lines.append(
                    f"- {name}, {_NAMES[score]}: {best} has {means[best]:.{digits}f}, the bundled "
                    f"model {ours:.{digits}f}{', within the spread' if within else ''}."
                )
    text = (
        f"Of {n_judged} comparisons (mean over the draws) with the best of all others the bundled "
        f"model loses {len(lines)}, {n_within} of them by no more than one standard deviation."
    )
    return "\n\n".join([text, "\n".join(lines)])


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _list_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", "   :class: table headline", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if i == 0 else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see ``--help``."""
    parser = arguments(__doc__, output="folder for the results")
    parser.add_argument(
        "genomes",
        nargs="?",
        help="folder of genomes with catalog.tsv; without it, what the pages show is made again "
        "from results.json in the folder for the results",
    )
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
    parser.add_argument("--reads", type=int, default=100, help="per label (default: 100)")
    parser.add_argument("--training-batches", type=int, default=_TRAINING_BATCHES)
    parser.add_argument("--jobs", type=int, default=None, help="processes (default: 1)")
    args = parser.parse_args(argv)
    if args.genomes is None:
        known = json.loads((args.output / "results.json").read_text(encoding="utf-8"))
        write_results(BenchmarkResult(known["records"], known["about"]), args.output)
        return 0
    cache = args.output / ".cache"
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
    options: dict[str, Any] = {"cache": cache / "scores", "n_jobs": args.jobs, "n_repeats": 1}
    result = benchmark(sets, embedders, training=training, **options)
    draw(result, args.output, next(iter(sets.values()))[0], embedders, training)
    write_results(result, args.output)
    logger.info("Wrote %s.", args.output)
    return 0


def draw(
    result: BenchmarkResult,
    output: Path,
    reads: Bunch,
    embedders: Mapping[str, Any],
    training: tuple[list[str], np.ndarray],
) -> None:
    """Draw how a baseline and the model see some reads."""
    shown = {name: embedders[name].fit(*training) for name in ("raw TNF", MODEL)}
    # As wide as the page shows them.
    with rc_context({"savefig.dpi": 80, "savefig.transparent": True}):
        save_pictures(result, output, reads, shown)


if __name__ == "__main__":
    sys.exit(main())
