"""Pictures of a benchmark: bars, curves, maps and similarities."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import Bunch

from ..plotting import COLORS, MARKERS, EmbeddingDisplay, new_figure, save_figure
from ._results import BenchmarkResult

_MOST_SPECIES = 10
_MOST_PAIRS = 200_000


def plot_bars(result: BenchmarkResult, score: str, *, ax: Any = None) -> Any:
    """Draw one score as bars: a group for each set, a bar for each embedder.

    Parameters
    ----------
    result : BenchmarkResult
        The scores.
    score : str
        Which, for example ``"clustering ari"``.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        With the standard deviation as a line where there are several seeds.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult, plot_bars
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "clustering", "score": "ari"}
    >>> ax = plot_bars(BenchmarkResult([record | {"seed": 0, "value": 0.25}]), "clustering ari")
    >>> float(ax.patches[0].get_height())
    0.25
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    width = 0.8 / len(result.embedders)
    for i, embedder in enumerate(result.embedders):
        values = [result.values(embedder, name, score) for name in result.sets]
        here = [(at, v) for at, v in enumerate(values) if v]
        places = [at - 0.4 + (i + 0.5) * width for at, _ in here]
        spread = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for _, v in here]
        look = {"color": COLORS[i % len(COLORS)], "hatch": "" if i < len(COLORS) else "//"}
        means = [float(np.mean(v)) for _, v in here]
        ax.bar(places, means, width, yerr=spread, label=embedder, **look)
    ax.set_xticks(range(len(result.sets)), result.sets)
    ax.set_ylabel(score)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    return ax


def plot_few_shot(result: BenchmarkResult, set_name: str, *, ax: Any = None) -> Any:
    """Draw macro F1 against the number of labelled sequences per species.

    Parameters
    ----------
    result : BenchmarkResult
        The scores.
    set_name : str
        Which set.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult, plot_few_shot
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "few_shot", "score": "f1@5"}
    >>> ax = plot_few_shot(BenchmarkResult([record | {"seed": 0, "value": 0.25}]), "soil")
    >>> ax.lines[0].get_xydata().tolist()
    [[5.0, 0.25]]
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    shots = [int(s.rpartition("@")[2]) for s in result.scores if s.startswith("few_shot f1@")]
    ticks: set[int] = set()
    for i, embedder in enumerate(result.embedders):
        means = {n: result.mean(embedder, set_name, f"few_shot f1@{n}") for n in sorted(shots)}
        points = {n: f1 for n, f1 in means.items() if not np.isnan(f1)}
        if points:
            ticks |= set(points)
            look = {"marker": MARKERS[i % len(MARKERS)], "color": COLORS[i % len(COLORS)]}
            ax.plot(list(points), list(points.values()), label=embedder, **look)
    ax.set_xscale("log")
    ax.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
    ax.minorticks_off()
    ax.set(xlabel="labelled sequences per species", ylabel="macro F1", title=set_name)
    if ticks:
        ax.legend(frameon=False, fontsize="small")
    return ax


def plot_similarities(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw how similar sequences are within and between species.

    Parameters
    ----------
    embeddings, labels : ndarray of shape (n, d) and (n,)
        One row per sequence, and its species.
    title : str, default=""
        Title of the axes.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        Two histograms of cosine similarities, of 200,000 pairs at most, each of area 1.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import plot_similarities
    >>> ax = plot_similarities(np.eye(4), np.array(["a", "a", "b", "b"]), title="Four reads")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['within species', 'between species']
    """
    ax = new_figure(1)[1][0] if ax is None else ax
    rows, labels = normalize(embeddings), np.asarray(labels)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))
    members = [order[labels[order] == species] for species in np.unique(labels).tolist()]
    within = np.hstack([some[np.array(np.triu_indices(len(some), 1))] for some in members])
    if within.shape[1] > _MOST_PAIRS:
        within = within[:, rng.choice(within.shape[1], _MOST_PAIRS, replace=False)]
    between = rng.integers(0, len(rows), (2, min(_MOST_PAIRS, len(rows) ** 2)))
    between = between[:, labels[between[0]] != labels[between[1]]]
    bins, least = np.linspace(-1, 1, 81), 1.0
    for (one, other), name, color, style in (
        (within, "within species", COLORS[0], "stepfilled"),
        (between, "between species", COLORS[6], "step"),
    ):
        values = np.clip(np.einsum("ij,ij->i", rows[one], rows[other]), -1, 1)
        least = min(least, values.min(initial=1))
        weights = np.full(len(values), 1 / max(1, len(values)) / (bins[1] - bins[0]))
        look = {"histtype": style, "color": color, "alpha": 0.8, "linewidth": 1.5}
        ax.hist(values, bins, weights=weights, label=name, **look)
    ax.set(xlabel="cosine similarity", ylabel="density", yticks=[], title=title)
    ax.set_xlim(bins[np.digitize(least, bins[1:-1])], 1)
    ax.legend(frameon=False, fontsize="small")
    return ax


def save_pictures(
    result: BenchmarkResult, folder: str | os.PathLike[str], reads: Bunch, embedders: dict[str, Any]
) -> None:
    """Draw scores, and how fitted embedders see some reads; write PNG files into a folder."""
    figures = {}
    if "clustering ari" in result.scores:
        figures["bars.png"], (ax,) = new_figure(1)
        figures["bars.png"].set_size_inches(5 + 1.4 * len(result.sets), 4.4)
        plot_bars(result, "clustering ari", ax=ax)
    with_shots = dict.fromkeys(r["set"] for r in result.records if r["protocol"] == "few_shot")
    if with_shots:
        figures["few_shot.png"], axes = new_figure(min(3, len(with_shots)))
        for name, ax in zip(with_shots, axes, strict=False):
            plot_few_shot(result, name, ax=ax)
    labels = np.asarray(reads.labels)
    species = np.unique(labels)
    # Some of them, evenly spaced in sorted order: more cannot be told apart.
    places = np.linspace(0, len(species) - 1, min(_MOST_SPECIES, len(species))).round().astype(int)
    some = np.isin(labels, species[places])
    figures["similarities.png"], upper = new_figure(len(embedders))
    figures["map.png"], lower = new_figure(len(embedders))
    for (name, embedder), above, ax in zip(embedders.items(), upper, lower, strict=True):
        rows = np.asarray(embedder.transform(reads.sequences))
        plot_similarities(rows, labels, title=name, ax=above)
        how: Any = {"method": "pca", "title": name, "ax": ax, "legend": ax is lower[-1]}
        EmbeddingDisplay.from_predictions(rows[some], labels[some], **how)
    for name, figure in figures.items():
        save_figure(figure, Path(folder) / name)
