"""``dnaembed demo``: what embeddings are good for, on real reads, in less than a minute."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from ._app import command
from ._options import OUTPUT_FILE, Embedding

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger("dnaembed")

SHOTS = (1, 2, 5, 10)
_N_TEST = 30  # of 40 reads a species, which leaves 10 to learn from
_BINNED, _IN_BINS = "species binned", "reads in bins"

_EXAMPLES = """\
  dnaembed demo
  dnaembed demo --umap -o reads.png
  dnaembed demo --save-reads demo          files to try the other commands on
  dnaembed demo --model zhihan1996/DNABERT-S
"""

_LEGEND = """\
ARI: agreement of 10 K-means clusters with the species, 1 is perfect, 0 is chance.
F1 n-shot: macro F1 of a classifier that has seen n reads a species (mean of 5 draws).
species binned: those that a bin matches with F1 > 0.5, where neither the number of bins nor the
  threshold is given (as dnaembed bin does); reads in no bin are left out, as in the paper.
Protocols: Zhou et al., DNABERT-S, Bioinformatics 2025.
"""


@command(_EXAMPLES)
def demo(
    embedding: Embedding,
    output: Annotated[
        str, Option("--output", "-o", metavar="PICTURE.png", help="The picture."), OUTPUT_FILE
    ] = "dnaembed_demo.png",
    save_reads: Annotated[
        str | None,
        Option(
            metavar="FOLDER",
            help="Instead of all this, write the reads into a new folder, to try the other "
            "commands on.",
        ),
    ] = None,
    umap: Annotated[bool, Option("--umap", help="Draw UMAP, not principal components.")] = False,
) -> None:
    """Show what it does, on bundled reads.

    Embed, cluster, classify and bin 400 real reads of 10 bacteria. Prints a table for each embedder
    and draws a picture. Needs no network with the bundled model.
    """
    from .. import KmerEmbedder
    from ..datasets import load_demo_reads, save_demo_reads

    if save_reads is not None:
        save_demo_reads(save_reads)
        logger.info("%s holds the reads.", save_reads)
        return
    reads = load_demo_reads()
    embedders: dict[str, Any] = {
        "raw TNF": KmerEmbedder(method="raw"),
        "canonical 4-mers": KmerEmbedder(method="canonical"),
        "TNF-K": KmerEmbedder(method="tnf-k"),
        f"model: {embedding.model}": embedding.embedder(),
    }
    embeddings, scores = {}, {}
    for name, embedder in embedders.items():
        logger.info("%s ...", name)
        embeddings[name] = embedder.fit_transform(reads.sequences)
        scores[name] = _scores(embeddings[name], reads.labels, embedding.seed)
    print(f"{len(reads.ids)} reads of {len(set(reads.labels))} bacteria, 2-6 kb, either strand\n")
    print(_table(scores))
    print()
    print(_LEGEND)
    baseline, canonical, _, model = scores
    for name in (canonical, model):
        print(_comparison(name, scores[name], baseline, scores[baseline]))
    shown = {name: embeddings[name] for name in (baseline, model)}
    _draw(output, shown, reads.labels, method="umap" if umap else "pca", seed=embedding.seed)
    print(f"Picture: {Path(output)}")


def _scores(embeddings: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    from .. import SpeciesClusterer
    from ..benchmark import clustering_scores, few_shot_scores
    from ..metrics import species_f1_recall

    scores = {"ARI": clustering_scores(embeddings, labels)["ari"]}
    for n, f1 in few_shot_scores(embeddings, labels, shots=SHOTS, n_test=_N_TEST).items():
        scores[f"F1 {n}-shot" if n == SHOTS[0] else f"{n}-shot"] = f1
    bins = SpeciesClusterer(random_state=seed).fit_predict(embeddings)
    found, _ = species_f1_recall(labels, bins)
    scores[_BINNED] = float((found > 0.5).sum())
    scores[_IN_BINS] = float((bins >= 0).mean())
    return scores


def _table(scores: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(scores.values())))
    rows = [["embedder", *columns]]
    for name, values in scores.items():
        rows.append([name, *(_shown(column, values[column]) for column in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def _shown(column: str, value: float) -> str:
    if column == _BINNED:
        return str(int(value))
    return f"{value:.0%}" if column == _IN_BINS else f"{value:.3f}"


def _comparison(
    name: str, scores: dict[str, float], other_name: str, other: dict[str, float]
) -> str:
    """Say in a line by how much an embedder beats, or does not beat, another one."""
    difference = {column: scores[column] - other[column] for column in scores}
    first = next(column for column in scores if column.startswith("F1"))
    verb = "beats" if difference["ARI"] > 0 else "does not beat"
    return (
        f"{name} {verb} {other_name}: ARI {other['ARI']:.3f} -> {scores['ARI']:.3f} "
        f"({difference['ARI']:+.3f}), F1 from one read a species {difference[first]:+.3f}, "
        f"species binned {other[_BINNED]:.0f} -> {scores[_BINNED]:.0f}."
    )


def _draw(
    output: str, embeddings: dict[str, np.ndarray], labels: np.ndarray, *, method: str, seed: int
) -> None:
    from ..plotting import new_figure, plot_species, project
    from ..utils._atomic import open_output

    figure, panels = new_figure(len(embeddings))
    for panel, (name, rows) in zip(panels, embeddings.items(), strict=True):
        coordinates, names = project(rows, method=method, random_state=seed)
        last = panel is panels[-1]
        plot_species(coordinates, labels, names=names, title=name, legend=last, ax=panel)
    with open_output(output, "wb") as file:
        figure.savefig(file, format="png")
