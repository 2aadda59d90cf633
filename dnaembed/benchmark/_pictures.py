"""Pictures of a benchmark (extra ``plot``): bars, curves, maps and similarities."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import Bunch

from ..plotting import _COLORS, _MARKERS, new_figure, plot_species, project
from ..utils._atomic import atomic_output
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
        The axes drawn on; lines show the standard deviation where there are several seeds.

    Examples
    --------
    >>> from dnaembed.benchmark import BenchmarkResult, plot_bars
    >>> record = {"embedder": "TNF", "set": "soil", "protocol": "clustering", "score": "ari"}
    >>> ax = plot_bars(BenchmarkResult([record | {"seed": 0, "value": 0.25}]), "clustering ari")
    >>> float(ax.patches[0].get_height())
    0.25
    """
    ax = _axes(ax)
    width = 0.8 / len(result.embedders)
    for i, embedder in enumerate(result.embedders):
        values = [result.values(embedder, name, score) for name in result.sets]
        here = [(at, v) for at, v in enumerate(values) if v]
        ax.bar(
            [at + (i - (len(result.embedders) - 1) / 2) * width for at, _ in here],
            [float(np.mean(v)) for _, v in here],
            width,
            yerr=[float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for _, v in here],
            color=_COLORS[i % len(_COLORS)],
            hatch="" if i < len(_COLORS) else "//",
            label=embedder,
        )
    ax.set_xticks(range(len(result.sets)), result.sets)
    ax.set_ylabel(score)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    return ax


def plot_few_shot(result: BenchmarkResult, set_name: str, *, ax: Any = None) -> Any:
    """Draw macro F1 against the number of labelled sequences a species.

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
    ax = _axes(ax)
    scores = [score for score in result.scores if score.startswith("few_shot f1@")]
    ticks: set[int] = set()
    for i, embedder in enumerate(result.embedders):
        points = [
            (int(score.rpartition("@")[2]), result.mean(embedder, set_name, score))
            for score in scores
            if result.values(embedder, set_name, score)
        ]
        if points:
            shots, f1 = zip(*sorted(points), strict=True)
            ticks |= set(shots)
            ax.plot(
                shots,
                f1,
                marker=_MARKERS[i % len(_MARKERS)],
                color=_COLORS[i % len(_COLORS)],
                label=embedder,
            )
    ax.set_xscale("log")
    ax.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
    ax.minorticks_off()
    ax.set(xlabel="labelled sequences a species", ylabel="macro F1", title=set_name)
    if ticks:
        ax.legend(frameon=False, fontsize="small")
    return ax


def plot_similarities(
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    title: str = "",
    random_state: int | None = 0,
    ax: Any = None,
) -> Any:
    """Draw how similar sequences are within and between species.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        One row a sequence.
    labels : ndarray of shape (n,)
        Species of each.
    title : str, default=""
        Title of the axes.
    random_state : int or None, default=0
        Seed of the draw of pairs, where there are more than 200,000.
    ax : matplotlib Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    matplotlib Axes
        The axes drawn on: two histograms of cosine similarities, each of area 1.

    Examples
    --------
    >>> import numpy as np
    >>> from dnaembed.benchmark import plot_similarities
    >>> ax = plot_similarities(np.eye(4), np.array(["a", "a", "b", "b"]), title="Four reads")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['within species', 'between species']
    """
    ax = _axes(ax)
    rows = normalize(embeddings)
    labels = np.asarray(labels)
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(rows))
    pairs_within = []
    for species in np.unique(labels).tolist():
        members = order[labels[order] == species]
        upper = np.array(np.triu_indices(len(members), 1))
        pairs_within.append(members[upper])
    within = np.concatenate(pairs_within, axis=1)
    if within.shape[1] > _MOST_PAIRS:
        within = within[:, rng.choice(within.shape[1], _MOST_PAIRS, replace=False)]
    between = rng.integers(0, len(rows), (2, min(_MOST_PAIRS, len(rows) ** 2)))
    between = between[:, labels[between[0]] != labels[between[1]]]
    bins = np.linspace(-1, 1, 81)
    for pairs, name, color, style in (
        (within, "within species", _COLORS[0], "stepfilled"),
        (between, "between species", _COLORS[6], "step"),
    ):
        values = np.einsum("ij,ij->i", rows[pairs[0]], rows[pairs[1]])
        weights = np.full(len(values), 1 / max(1, len(values)) / (bins[1] - bins[0]))
        ax.hist(
            np.clip(values, -1, 1),
            bins,
            weights=weights,
            histtype=style,
            color=color,
            alpha=0.8,
            linewidth=1.5,
            label=name,
        )
    ax.set(xlabel="cosine similarity", ylabel="density", yticks=[], title=title)
    ax.legend(frameon=False, fontsize="small")
    return ax


def save_pictures(
    result: BenchmarkResult,
    folder: str | os.PathLike[str],
    *,
    reads: Mapping[str, Bunch],
    embedders: Mapping[str, Any],
    score: str = "clustering ari",
) -> list[Path]:
    """Write the pictures of a benchmark into a folder that exists.

    Parameters
    ----------
    result : BenchmarkResult
        The scores.
    folder : path
        Where the PNG files go.
    reads : mapping of str to Bunch
        Set, by name, of which maps and similarities are drawn: the first one.
    embedders : mapping of str to estimator
        Fitted embedders that are drawn, a panel each.
    score : str, default="clustering ari"
        Score of the bars.

    Returns
    -------
    list of Path
        The files.
    """
    folder = Path(folder)
    written = []

    def save(figure: Any, name: str) -> None:
        with atomic_output(folder / name) as path:
            figure.savefig(path, format="png")
        written.append(folder / name)

    if score in result.scores:
        figure, axes = new_figure(1)
        figure.set_size_inches(5 + 1.4 * len(result.sets), 4.4)
        plot_bars(result, score, ax=axes[0])
        save(figure, "bars.png")
    with_shots = [r["set"] for r in result.records if r["protocol"] == "few_shot"]
    if with_shots:
        names = list(dict.fromkeys(with_shots))[:3]
        figure, axes = new_figure(len(names))
        for name, ax in zip(names, axes, strict=True):
            plot_few_shot(result, name, ax=ax)
        save(figure, "few_shot.png")
    _, shown = next(iter(reads.items()))
    rows = {name: np.asarray(e.transform(shown.sequences)) for name, e in embedders.items()}
    figure, axes = new_figure(len(rows))
    for (name, embeddings), ax in zip(rows.items(), axes, strict=True):
        plot_similarities(embeddings, shown.labels, title=name, ax=ax)
    save(figure, "similarities.png")
    labels = np.asarray(shown.labels)
    some = np.isin(labels, _spread(np.unique(labels).tolist(), _MOST_SPECIES))
    figure, axes = new_figure(len(rows))
    for (name, embeddings), ax in zip(rows.items(), axes, strict=True):
        points, axis_names = project(embeddings[some])
        last = ax is axes[-1]
        plot_species(points, labels[some], names=axis_names, title=name, legend=last, ax=ax)
    save(figure, "map.png")
    return written


def _spread(values: Sequence[str], n: int) -> list[str]:
    """Return n values, evenly spaced in sorted order."""
    places = np.linspace(0, len(values) - 1, min(n, len(values))).round().astype(int)
    return [values[place] for place in places]


def _axes(ax: Any) -> Any:
    return new_figure(1)[1][0] if ax is None else ax
